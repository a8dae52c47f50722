//! The values of the state machine, and small transactions on them.
//!
//! A key that holds nothing is absent: no key ever holds [`Value::Nil`], so that equal stores have equal encodings.
//! A transaction's operations take effect in order, each seeing those before it; if one fails, those before it are
//! taken back. What that takes is kept by moving values, not by copying them: an overwritten value moves into the undo
//! list, a deleted one already stands among the results, a list's growth is undone by a pop.
//!
//! Absent on purpose: versions, locks and concurrency. The order of execution is a core's business.

use super::command::{Failure, Key, Operation, Value};
use serde::{Deserialize, Deserializer, Serialize, de::Error};
use std::collections::BTreeMap;

/// Keys to values.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Store {
    /// Holds no [`Value::Nil`].
    values: BTreeMap<Key, Value>,
}

/// How to take one operation back, if one after it fails.
enum Undo<'a> {
    /// Nothing changed.
    Nothing,
    /// The key held this.
    Put(Value),
    /// The key held the operation's own result.
    PutResult,
    /// The key's list was shorter by its last element.
    Pop,
    /// The key's set lacked this element.
    Remove(&'a Value),
}

impl Store {
    /// What `key` holds.
    #[must_use]
    pub fn get(&self, key: &Key) -> &Value {
        self.values.get(key).unwrap_or(&Value::Nil)
    }

    /// Executes all of `operations`, in order, or none. One result an operation.
    ///
    /// # Errors
    /// [`Failure::CasMismatch`] or [`Failure::WrongType`] of the first operation that failed; the store is as before.
    pub fn transact(&mut self, operations: &[Operation]) -> Result<Vec<Value>, Failure> {
        let mut results = Vec::with_capacity(operations.len());
        let mut undo = Vec::new();
        for (done, operation) in operations.iter().enumerate() {
            match self.execute(operation) {
                Ok((result, step)) => {
                    results.push(result);
                    // The last operation is never taken back, so a transaction of one needs no list.
                    if done + 1 < operations.len() {
                        undo.push(step);
                    }
                }
                Err(failure) => {
                    self.roll_back(&operations[..done], undo, results);
                    return Err(failure);
                }
            }
        }
        Ok(results)
    }

    /// Executes one operation and tells how to take it back. An operation that fails changes nothing.
    fn execute<'a>(&mut self, operation: &'a Operation) -> Result<(Value, Undo<'a>), Failure> {
        match operation {
            Operation::Read(key) => Ok((self.get(key).clone(), Undo::Nothing)),
            Operation::Write(key, value) => {
                Ok((Value::Nil, Undo::Put(self.put(key, value.clone()))))
            }
            Operation::Cas(key, expected, value) => {
                if self.get(key) != expected {
                    return Err(Failure::CasMismatch { key: key.clone() });
                }
                Ok((Value::Nil, Undo::Put(self.put(key, value.clone()))))
            }
            Operation::Delete(key) => Ok((self.put(key, Value::Nil), Undo::PutResult)),
            Operation::Append(key, element) => Ok((Value::Nil, self.append(key, element)?)),
            Operation::Add(key, amount) => self.add(key, *amount),
            Operation::Insert(key, element) => Ok((Value::Nil, self.insert(key, element)?)),
        }
    }

    fn append(&mut self, key: &Key, element: &Value) -> Result<Undo<'static>, Failure> {
        match self.values.get_mut(key) {
            None => Ok(Undo::Put(self.put(key, Value::List(vec![element.clone()])))),
            Some(Value::List(list)) => {
                list.push(element.clone());
                Ok(Undo::Pop)
            }
            Some(_) => Err(Failure::WrongType { key: key.clone() }),
        }
    }

    /// Wraps around at the ends of the integers: additions then commute, whatever they are.
    fn add(&mut self, key: &Key, amount: i64) -> Result<(Value, Undo<'static>), Failure> {
        let sum = match self.get(key) {
            Value::Nil => amount,
            Value::Int(count) => count.wrapping_add(amount),
            _ => return Err(Failure::WrongType { key: key.clone() }),
        };
        Ok((Value::Int(sum), Undo::Put(self.put(key, Value::Int(sum)))))
    }

    fn insert<'a>(&mut self, key: &Key, element: &'a Value) -> Result<Undo<'a>, Failure> {
        match self.values.get_mut(key) {
            None => Ok(Undo::Put(self.put(key, Value::Set([element.clone()].into())))),
            Some(Value::Set(set)) if set.contains(element) => Ok(Undo::Nothing),
            Some(Value::Set(set)) => {
                set.insert(element.clone());
                Ok(Undo::Remove(element))
            }
            Some(_) => Err(Failure::WrongType { key: key.clone() }),
        }
    }

    /// Makes `key` hold `value`; answers what it held. The key is copied only where it is new.
    fn put(&mut self, key: &Key, value: Value) -> Value {
        if value == Value::Nil {
            return self.values.remove(key).unwrap_or_default();
        }
        match self.values.get_mut(key) {
            Some(held) => std::mem::replace(held, value),
            None => self.values.insert(key.clone(), value).unwrap_or_default(),
        }
    }

    /// Takes back `operations`, the latest first.
    fn roll_back(&mut self, operations: &[Operation], undo: Vec<Undo<'_>>, results: Vec<Value>) {
        for ((operation, undo), result) in operations.iter().zip(undo).zip(results).rev() {
            let key = operation.key();
            match (undo, self.values.get_mut(key)) {
                (Undo::Nothing, _) => {}
                (Undo::Put(value), _) => drop(self.put(key, value)),
                (Undo::PutResult, _) => drop(self.put(key, result)),
                (Undo::Pop, Some(Value::List(list))) => drop(list.pop()),
                (Undo::Remove(element), Some(Value::Set(set))) => drop(set.remove(element)),
                (Undo::Pop | Undo::Remove(_), held) => {
                    unreachable!("{key} held a list or a set when it grew, and now {held:?}")
                }
            }
        }
    }
}

impl<'de> Deserialize<'de> for Store {
    /// Refuses a key that holds nil: such a store would equal another one and have a different encoding.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let values = BTreeMap::<Key, Value>::deserialize(deserializer)?;
        match values.iter().find(|(_, value)| **value == Value::Nil) {
            None => Ok(Self { values }),
            Some((key, _)) => Err(D::Error::custom(format!("{key} holds nil"))),
        }
    }
}
