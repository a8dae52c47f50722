//! A known bug of stores, for the defendants of the simulator: damage in the middle of a log is taken for its end.
//!
//! Source: jepsen.io/analyses/nats-2.12.1, where a corrupted block of a stream made a node serve what came before it
//! and forget the rest. Nothing but a mutant calls this.

use crate::files::Files;
use crate::recover::RecoverError;
use crate::sector::SECTOR_BYTES;
use crate::store::{StoreError, forget_what_was_durable};

/// Makes the log end where `damage` says that something is wrong, and forgets that more was ever durable.
///
/// # Errors
/// If the files fail, or the damage has no place.
pub fn forget_damage<F: Files>(
    files: &mut F,
    damage: &RecoverError,
) -> Result<(), StoreError<F::Error>> {
    let place = match damage {
        RecoverError::Lost { place, .. }
        | RecoverError::DamagedTail { place, .. }
        | RecoverError::Contradiction { place, .. } => *place,
        RecoverError::NoSegments { .. } | RecoverError::Duplicate { .. } => {
            return Err(StoreError::Log(damage.clone()));
        }
    };
    for generation in files.segments().map_err(StoreError::Files)? {
        if generation > place.generation {
            files.release(generation).map_err(StoreError::Files)?;
        } else if generation == place.generation {
            let length = files.read(generation).map_err(StoreError::Files)?.len();
            let from = usize::try_from(place.offset).unwrap_or(length);
            let from = (from / SECTOR_BYTES * SECTOR_BYTES).min(length);
            let zeros = vec![0; length - from];
            files.write(generation, from as u64, &zeros).map_err(StoreError::Files)?;
            files.sync(generation).map_err(StoreError::Files)?;
        }
    }
    forget_what_was_durable(files)
}
