//! Panics of simulated executions. The simulator expects those of cores and tells of them in the history; nobody wants to
//! read them on stderr, a thousand times. One that the simulator does not expect is handed to the caller with its place.
//!
//! The hook is one for all threads; a flag of each thread tells it where executions run. Elsewhere the old hook is asked.

use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::sync::Once;

thread_local! {
    /// Whether an execution runs on this thread.
    static EXECUTES: Cell<bool> = const { Cell::new(false) };
    /// What the last panic on this thread said, and where.
    static LAST: RefCell<String> = const { RefCell::new(String::new()) };
}

static HOOK: Once = Once::new();

/// Does `work` without a word on stderr if something panics in it.
///
/// # Errors
/// What the panic said that came out of `work`, and where.
pub(super) fn caught<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    HOOK.call_once(|| {
        let old = take_hook();
        set_hook(Box::new(move |panic| {
            if EXECUTES.get() {
                LAST.set(panic.to_string());
            } else {
                old(panic);
            }
        }));
    });
    let outer = EXECUTES.replace(true);
    let result = catch_unwind(AssertUnwindSafe(work));
    EXECUTES.set(outer);
    result.map_err(|_| LAST.take())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_tells_what_and_where() {
        let caught_one = caught(|| {
            // A core's panic, which the simulator catches, is not the one that came out.
            let inner = catch_unwind(|| panic!("inner"));
            assert!(inner.is_err());
            panic!("no such node");
        });
        let said: String = caught_one.map(|()| String::new()).expect_err("it panicked");
        assert!(said.contains("no such node") && said.contains("panics.rs"), "{said}");
        assert_eq!(caught(|| 7), Ok(7));
        assert!(!EXECUTES.get());
    }
}
