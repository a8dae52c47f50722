//! A queue without an order (a bag): `enqueue` a value, `dequeue` any one of those inside, or nil where there is none.
//!
//! A `dequeue` of which nobody learned the result may have taken any value that was inside. The state leaves open which:
//! it keeps a mark behind the values that were there, and each mark must at the end be owed to a value before it.
//! That is possible exactly if no mark has fewer values before it than marks up to it (Hall's theorem for nested choices).

use super::fifo_queue::QueueOp;
use super::{DecodeError, Model};
use tribunal_history::Value;

/// The queue.
#[derive(Clone, Copy, Debug, Default)]
pub struct UnorderedQueue;

/// What is inside: values in the order of their coming where a mark (`None`) tells them apart, else sorted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Bag(Vec<Option<Value>>);

impl Bag {
    fn marks(&self) -> usize {
        self.0.iter().filter(|slot| slot.is_none()).count()
    }

    fn values(&self) -> usize {
        self.0.len() - self.marks()
    }

    /// Whether every mark can be owed to a value of its own before it.
    fn possible(&self) -> bool {
        let mut spare = 0_usize;
        self.0.iter().all(|slot| match slot {
            Some(_) => {
                spare += 1;
                true
            }
            None => spare.checked_sub(1).map(|left| spare = left).is_some(),
        })
    }

    fn with(&self, value: &Value) -> Self {
        let mut slots = self.0.clone();
        let newest = slots.iter().rposition(Option::is_none).map_or(0, |mark| mark + 1);
        let value = Some(value.clone());
        let place = newest + slots[newest..].partition_point(|other| *other < value);
        slots.insert(place, value);
        Self(slots)
    }

    /// Without the value; of equal ones without the last, which leaves the marks the most.
    fn without(&self, value: &Value) -> Option<Self> {
        let nth = self.0.iter().rposition(|slot| slot.as_ref() == Some(value))?;
        let mut slots = self.0.clone();
        slots.remove(nth);
        Some(Self(slots)).filter(Self::possible)
    }
}

impl Model for UnorderedQueue {
    type State = Bag;
    type Op = QueueOp;

    fn init(&self) -> Bag {
        Bag::default()
    }

    fn step(&self, state: &Bag, op: &QueueOp) -> Option<Bag> {
        match op {
            QueueOp::Enqueue(value) => Some(state.with(value)),
            QueueOp::Dequeue(value) => state.without(value),
            QueueOp::DequeueNothing => (state.values() == state.marks()).then(Bag::default),
            QueueOp::DequeueUnknown => (state.values() > state.marks()).then(|| {
                let mut slots = state.0.clone();
                slots.push(None);
                Bag(slots)
            }),
        }
    }

    fn describe(&self, op: &QueueOp) -> String {
        op.describe()
    }

    fn decode(
        &self,
        f: &str,
        input: &Value,
        output: Option<&Value>,
    ) -> Result<Option<QueueOp>, DecodeError> {
        QueueOp::decode("unordered-queue", f, input, output).map(Some)
    }

    fn heap_bytes(&self, state: &Bag) -> usize {
        state.0.capacity() * size_of::<Option<Value>>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(ops: &[QueueOp]) -> Option<Bag> {
        ops.iter().try_fold(Bag::default(), |state, op| UnorderedQueue.step(&state, op))
    }

    #[test]
    fn any_value_leaves_once() {
        let [one, two] = [1, 2].map(|value: i64| QueueOp::Enqueue(value.into()));
        let [first, second] = [1, 2].map(|value: i64| QueueOp::Dequeue(value.into()));
        let nothing = QueueOp::DequeueNothing;
        assert!(
            after(&[one.clone(), two.clone(), second.clone(), first.clone(), nothing]).is_some()
        );
        assert!(after(&[one.clone(), first.clone(), first.clone()]).is_none());
        assert_eq!(after(&[one.clone(), two.clone()]), after(&[two, one]));
        assert!(after(&[second]).is_none());
    }

    #[test]
    fn what_nobody_saw_leave_was_there_before() {
        let [one, two] = [1, 2].map(|value: i64| QueueOp::Enqueue(value.into()));
        let first = QueueOp::Dequeue(1.into());
        let (unknown, nothing) = (QueueOp::DequeueUnknown, QueueOp::DequeueNothing);
        assert!(after(&[one.clone(), unknown.clone(), nothing.clone()]).is_some());
        assert!(after(&[one, unknown, two, first, nothing]).is_none());
    }
}
