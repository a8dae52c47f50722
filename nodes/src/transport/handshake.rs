//! What a connection between peers opens with: the dialler says who it is, and is welcomed or refused.
//!
//! Invariants:
//! * a message is only taken from a member of the same run that speaks the same version and means this node;
//! * once an incarnation of a peer was welcomed, no older one is; of one incarnation, no connection that was dialled before
//!   the newest one. So what a proxy held back for long cannot displace a connection that works.
//!
//! The magic number and the version stand in front of the encoded rest, so that later versions can refuse each other
//! properly. Absent on purpose: authentication. A run's number keeps strangers out by accident, not by intent.

use super::frame;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use tribunal_protocol::NodeId;

/// Bytes that a frame of the handshake may have.
pub(crate) const HANDSHAKE_BYTES_MAX: usize = 256;

const MAGIC: [u8; 8] = *b"tribunal";

/// Raised by every change of what peers say to each other outside of the variants' messages.
const VERSION: u32 = 1;

/// The first frame of a connection, by the dialler.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Hello {
    /// `MAGIC`.
    pub(crate) magic: [u8; 8],
    /// `VERSION`.
    pub(crate) version: u32,
    /// The rest.
    pub(crate) identity: Identity,
}

/// Who dials whom.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Identity {
    /// The run that the dialler is part of.
    pub(crate) run: u64,
    /// The dialler.
    pub(crate) from: NodeId,
    /// Whom it means to reach.
    pub(crate) to: NodeId,
    /// Counts the dialler's starts.
    pub(crate) incarnation: u64,
    /// Counts the dialler's attempts to reach this peer in this incarnation.
    pub(crate) attempt: u64,
}

impl Hello {
    /// The hello of `identity`.
    pub(crate) fn new(identity: Identity) -> Self {
        Self { magic: MAGIC, version: VERSION, identity }
    }

    /// Reads a hello as far as it can be understood.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Identity, Refusal> {
        type Head = ([u8; 8], u32);
        let head = postcard::take_from_bytes::<Head>(bytes).map_err(|_| Refusal::Malformed)?;
        match head {
            ((MAGIC, VERSION), rest) => frame::decode(rest).map_err(|_| Refusal::Malformed),
            ((MAGIC, _), _) => Err(Refusal::Version),
            _ => Err(Refusal::Malformed),
        }
    }
}

/// The second frame of a connection, by the one who accepted it; it says nothing else ever.
pub(crate) type Welcome = Result<(), Refusal>;

/// Why a connection was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub(crate) enum Refusal {
    /// It did not open with a hello, or not in time.
    #[error("it did not open with a hello")]
    Malformed,
    /// It speaks another version.
    #[error("it speaks another version of the wire")]
    Version,
    /// It is part of another run.
    #[error("it belongs to another run")]
    Run,
    /// It is no member, or claims to be this node.
    #[error("it is no peer of this node")]
    Stranger,
    /// It means another node.
    #[error("it means another node")]
    Misdirected,
    /// A newer incarnation of the same peer, or a newer connection of the same incarnation, was here already.
    #[error("a newer incarnation or connection of it was here already")]
    Stale,
    /// Too many connections wait for their handshake.
    #[error("too many connections wait for their handshake")]
    Crowded,
}

impl Refusal {
    /// All of them, in the order of their numbers.
    pub(crate) const ALL: [Self; 7] = [
        Self::Malformed,
        Self::Version,
        Self::Run,
        Self::Stranger,
        Self::Misdirected,
        Self::Stale,
        Self::Crowded,
    ];

    /// Its name in metrics.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::Version => "version",
            Self::Run => "run",
            Self::Stranger => "stranger",
            Self::Misdirected => "misdirected",
            Self::Stale => "stale",
            Self::Crowded => "crowded",
        }
    }
}

/// Decides who is welcome.
#[derive(Debug)]
pub(crate) struct Doorkeeper {
    run: u64,
    node: NodeId,
    /// The newest incarnation and attempt of each peer that was welcomed; (0, 0) before the first.
    newest: BTreeMap<NodeId, (u64, u64)>,
}

impl Doorkeeper {
    /// Welcomes `peers` of `run` that mean `node`.
    pub(crate) fn new(run: u64, node: NodeId, peers: impl Iterator<Item = NodeId>) -> Self {
        Self { run, node, newest: peers.map(|peer| (peer, (0, 0))).collect() }
    }

    /// Welcomes `identity`, which then is the newest connection of its peer, or refuses it.
    pub(crate) fn admit(&mut self, identity: &Identity) -> Welcome {
        if identity.run != self.run {
            return Err(Refusal::Run);
        }
        let newest = self.newest.get_mut(&identity.from).ok_or(Refusal::Stranger)?;
        if identity.to != self.node {
            return Err(Refusal::Misdirected);
        }
        let this = (identity.incarnation, identity.attempt);
        if this <= *newest {
            return Err(Refusal::Stale);
        }
        *newest = this;
        Ok(())
    }

    /// Whether no newer connection of the same peer was welcomed since.
    pub(crate) fn is_newest(&self, identity: &Identity) -> bool {
        let this = (identity.incarnation, identity.attempt);
        self.newest.get(&identity.from) == Some(&this)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity() -> Identity {
        Identity { run: 7, from: NodeId(2), to: NodeId(1), incarnation: 3, attempt: 5 }
    }

    fn doorkeeper() -> Doorkeeper {
        Doorkeeper::new(7, NodeId(1), [NodeId(2), NodeId(3)].into_iter())
    }

    fn encoded(hello: &Hello) -> Vec<u8> {
        postcard::to_allocvec(hello).expect("plain data")
    }

    #[test]
    fn a_hello_reads_back_and_fits_its_bound() {
        let most = Identity {
            run: u64::MAX,
            from: NodeId(u32::MAX),
            to: NodeId(u32::MAX),
            incarnation: u64::MAX,
            attempt: u64::MAX,
        };
        let bytes = encoded(&Hello::new(most.clone()));
        assert!(bytes.len() <= HANDSHAKE_BYTES_MAX);
        assert_eq!(Hello::decode(&bytes), Ok(most));
    }

    #[test]
    fn another_version_is_told_apart_from_noise() {
        let hello = Hello::new(identity());
        let later = Hello { version: VERSION + 1, ..hello.clone() };
        assert_eq!(Hello::decode(&encoded(&later)), Err(Refusal::Version));
        let noise = Hello { magic: *b"GET / HT", ..hello.clone() };
        assert_eq!(Hello::decode(&encoded(&noise)), Err(Refusal::Malformed));
        let bytes = encoded(&hello);
        for length in 0..bytes.len() {
            assert_eq!(Hello::decode(&bytes[..length]), Err(Refusal::Malformed), "{length}");
        }
        assert_eq!(Hello::decode(&[bytes, vec![0]].concat()), Err(Refusal::Malformed));
    }

    #[test]
    fn strangers_are_refused() {
        let refused = |identity| doorkeeper().admit(&identity);
        assert_eq!(refused(identity()), Ok(()));
        assert_eq!(refused(Identity { run: 8, ..identity() }), Err(Refusal::Run));
        assert_eq!(refused(Identity { from: NodeId(4), ..identity() }), Err(Refusal::Stranger));
        assert_eq!(refused(Identity { from: NodeId(1), ..identity() }), Err(Refusal::Stranger));
        assert_eq!(refused(Identity { to: NodeId(3), ..identity() }), Err(Refusal::Misdirected));
    }

    #[test]
    fn an_older_incarnation_or_connection_is_refused() {
        let mut doorkeeper = doorkeeper();
        let mut admit = |incarnation, attempt| {
            doorkeeper.admit(&Identity { incarnation, attempt, ..identity() })
        };
        assert_eq!(admit(3, 5), Ok(()));
        assert_eq!(admit(3, 5), Err(Refusal::Stale));
        assert_eq!(admit(2, 9), Err(Refusal::Stale));
        assert_eq!(admit(3, 6), Ok(()));
        assert_eq!(admit(4, 1), Ok(()));
        assert_eq!(admit(3, 7), Err(Refusal::Stale));
    }

    #[test]
    fn what_was_refused_leaves_no_trace() {
        let mut doorkeeper = doorkeeper();
        let newer = Identity { incarnation: 9, run: 8, ..identity() };
        assert_eq!(doorkeeper.admit(&newer), Err(Refusal::Run));
        assert_eq!(doorkeeper.admit(&identity()), Ok(()));
    }

    #[test]
    fn numbers_follow_the_order_of_the_list() {
        for (nth, refusal) in Refusal::ALL.into_iter().enumerate() {
            assert_eq!(refusal as usize, nth);
        }
    }
}
