//! Banks: money moves between accounts, and no read may find more or less of it than there is.
//!
//! Operations: `read`, answered with a map of account to balance, and `transfer` `{from, to, amount}`. The total is given, or
//! what the first acknowledged read shows. Source: Jepsen's `bank` workload, which finds what snapshot isolation forbids.
//!
//! | anomaly | meaning |
//! |---|---|
//! | `wrong-total` | the balances of a read have another sum |
//! | `negative-balance` | an account of a read is below nothing, unless that is allowed |
//! | `unexpected-account` | a read holds an account that is none of those known, or misses one, or shows no integer for it |
//!
//! A pass is not complete: balances are not compared with the transfers. Constant memory; O(1) an account read.

use crate::checker::Checker;
use crate::keyed::{Findings, Unreadable, plain};
use crate::verdict::Verdict;
use std::collections::BTreeSet;
use tribunal_history::{Operation, Outcome, Value};

/// The checker.
#[derive(Debug, Default)]
pub struct Bank {
    total: Option<i128>,
    negative_allowed: bool,
    accounts: Option<BTreeSet<Value>>,
    /// The read that gave total and accounts, where they were not given.
    first: Option<Operation>,
    reads: u64,
    operations: u64,
    crashed: u64,
    findings: Findings,
    unreadable: Unreadable,
}

impl Bank {
    /// Takes total and accounts from the first read, and allows no negative balance.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// There is this much money.
    #[must_use]
    pub fn total(mut self, total: i64) -> Self {
        self.total = Some(total.into());
        self
    }

    /// These are the accounts.
    #[must_use]
    pub fn accounts(mut self, accounts: impl IntoIterator<Item = Value>) -> Self {
        self.accounts = Some(accounts.into_iter().map(account).collect());
        self
    }

    /// An account may be overdrawn.
    #[must_use]
    pub fn negative_allowed(mut self) -> Self {
        self.negative_allowed = true;
        self
    }

    fn read(&mut self, read: &Operation) {
        let Value::Map(balances) = &read.output else {
            self.unreadable.add(read, "reads something else than a map of accounts to balances");
            return;
        };
        self.reads += 1;
        if self.total.is_none() || self.accounts.is_none() {
            self.first.get_or_insert_with(|| read.clone());
        }
        self.check_accounts(read, balances);
        self.check_total(read, balances);
        let negative = balances
            .iter()
            .find(|(_, balance)| balance.as_int().is_some_and(|balance| balance < 0));
        if let Some((account, balance)) = negative.filter(|_| !self.negative_allowed) {
            self.findings.add("negative-balance", || {
                let message =
                    format!("{} finds {balance} in account {}", reader(read), plain(account));
                (message, Value::Nil, vec![read.clone()])
            });
        }
    }

    fn check_accounts(&mut self, read: &Operation, balances: &[(Value, Value)]) {
        let shown = || balances.iter().map(|(name, _)| account(name.clone()));
        let known = self.accounts.get_or_insert_with(|| shown().collect());
        let odd = balances.iter().find(|(name, balance)| {
            balance.as_int().is_none() || !known.contains(&account(name.clone()))
        });
        let what = match odd {
            Some((name, balance)) if balance.as_int().is_none() => {
                format!("shows {balance} for account {}, which is no integer", plain(name))
            }
            Some((name, _)) => format!("shows account {}, which is not known", plain(name)),
            None if balances.len() == known.len() => return,
            None => format!("shows {} accounts, but there are {}", balances.len(), known.len()),
        };
        let first = self.first.clone();
        self.findings.add("unexpected-account", || {
            let witness =
                first.into_iter().filter(|first| first.call != read.call).chain([read.clone()]);
            (format!("{} {what}", reader(read)), Value::Nil, witness.collect())
        });
    }

    fn check_total(&mut self, read: &Operation, balances: &[(Value, Value)]) {
        let sum: i128 =
            balances.iter().filter_map(|(_, balance)| balance.as_int()).map(i128::from).sum();
        let total = *self.total.get_or_insert(sum);
        if sum == total {
            return;
        }
        let first = self.first.clone();
        self.findings.add("wrong-total", || {
            let message = format!(
                "{} finds {sum} in all accounts together, but there is {total}",
                reader(read)
            );
            let witness =
                first.into_iter().filter(|first| first.call != read.call).chain([read.clone()]);
            (message, Value::Nil, witness.collect())
        });
    }
}

/// An account's name: an integer that JSON had to write as a text, as keys of its maps are, is that integer.
fn account(name: Value) -> Value {
    let int = name.as_text().and_then(|text| text.parse().ok());
    int.map_or(name, Value::Int)
}

fn reader(read: &Operation) -> String {
    format!("the read of process {} at {:.3} s", read.process, read.call.time as f64 / 1e9)
}

impl Checker for Bank {
    fn name(&self) -> &'static str {
        "bank"
    }

    fn operation(&mut self, operation: &Operation) {
        self.operations += 1;
        self.crashed += u64::from(operation.outcome == Outcome::Info);
        match (&*operation.f, operation.outcome) {
            ("read", Outcome::Ok) => self.read(operation),
            ("read" | "transfer", _) => {}
            _ => self.unreadable.add(operation, "is neither a read nor a transfer"),
        }
    }

    fn finish(self: Box<Self>) -> Verdict {
        let nothing = (self.reads == 0).then(|| "no read succeeded".to_owned());
        let accounts = self.accounts.as_ref().map_or(0, BTreeSet::len);
        let bytes = size_of::<Self>() + accounts * size_of::<Value>();
        self.findings
            .verdict("bank", false, self.unreadable.reason(), nothing)
            .figure("operations", self.operations)
            .figure("operations_crashed", self.crashed)
            .figure("reads_count", self.reads)
            .figure("engine_bytes", bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Script, names};
    use crate::verdict::Validity;

    fn read(script: Script, balances: &[(i64, i64)]) -> Script {
        let map =
            balances.iter().map(|(account, balance)| (Value::Int(*account), Value::Int(*balance)));
        script.invoke(0, "read", Value::Nil).ok(0, "read", Value::Map(map.collect()))
    }

    fn transfer(script: Script) -> Script {
        let map = [("from", 0), ("to", 1), ("amount", 5)];
        let map = map.into_iter().map(|(name, value)| (Value::text(name), Value::Int(value)));
        let value = Value::Map(map.collect());
        script.invoke(1, "transfer", value.clone()).ok(1, "transfer", value)
    }

    fn verdict_names(script: Script, bank: Bank) -> Vec<String> {
        let verdict = script.judge(bank);
        names(&verdict).into_iter().map(str::to_owned).collect()
    }

    #[test]
    fn money_that_moves_is_still_there() {
        let script = read(transfer(read(Script::new(), &[(0, 10), (1, 0)])), &[(0, 5), (1, 5)]);
        let verdict = script.judge(Bank::new().total(10));
        assert_eq!((verdict.validity, verdict.complete), (Validity::Valid, false));
    }

    #[test]
    fn money_made_or_lost_is_found() {
        let script = || read(read(Script::new(), &[(0, 10), (1, 0)]), &[(0, 5), (1, 0)]);
        let verdict = script().judge(Bank::new());
        assert_eq!(names(&verdict), ["wrong-total"]);
        assert_eq!(verdict.anomalies[0].witness.len(), 2);
        assert_eq!(
            verdict.anomalies[0].message,
            "the read of process 0 at 0.000 s finds 5 in all accounts together, but there is 10"
        );
        assert_eq!(
            verdict_names(read(Script::new(), &[(0, 9)]), Bank::new().total(10)),
            ["wrong-total"]
        );
    }

    #[test]
    fn an_account_below_nothing_is_found_unless_allowed() {
        let script = || read(Script::new(), &[(0, 11), (1, -1)]);
        assert_eq!(verdict_names(script(), Bank::new()), ["negative-balance"]);
        assert!(verdict_names(script(), Bank::new().negative_allowed()).is_empty());
    }

    #[test]
    fn accounts_neither_come_nor_go() {
        let first = || read(Script::new(), &[(0, 10), (1, 0)]);
        assert_eq!(
            verdict_names(read(first(), &[(0, 10), (2, 0)]), Bank::new()),
            ["unexpected-account"]
        );
        assert_eq!(verdict_names(read(first(), &[(0, 10)]), Bank::new()), ["unexpected-account"]);
        let given = Bank::new().accounts([Value::text("0"), Value::Int(1)]);
        assert!(verdict_names(first(), given).is_empty());
    }

    #[test]
    fn a_deposit_that_it_does_not_know_may_explain_more_money() {
        let script = read(Script::new(), &[(0, 10)]).invoke(1, "deposit", 5).ok(1, "deposit", 5);
        let verdict = read(script, &[(0, 15)]).judge(Bank::new());
        assert_eq!((verdict.validity, verdict.anomalies.len()), (Validity::Unknown, 0));
    }

    #[test]
    fn without_a_read_it_does_not_acquit() {
        assert_eq!(transfer(Script::new()).judge(Bank::new()).validity, Validity::Unknown);
    }
}
