//! The algorithms, one a file or folder, and their registry.
//!
//! To add one: write its file, with a type that implements [`Core`] and a constant `VARIANT: Variant` beside it, and
//! put its line into the `registry!` below.

pub mod abd;
pub mod chain;
pub mod cost;
pub mod epaxos;
pub mod fast_paxos;
pub mod flexible_paxos;
pub mod majority_vote;
pub mod mencius;
pub mod multi_paxos;
#[cfg(feature = "omnipaxos")]
pub mod omnipaxos;
pub mod paxos;
pub mod primary_backup;
pub mod raft;

use crate::core::{Core, Damaged};
use crate::machine::Capabilities;
use crate::mutants::{self, About, Bugged, Mutated};
use cost::Cost;
use std::collections::BTreeMap;

/// A line of the registry: what there is to know of an algorithm without running it.
#[derive(Clone, Copy, Debug)]
pub struct Variant {
    /// Its name in `--system`.
    pub name: &'static str,
    /// What it is, in one sentence.
    pub summary: &'static str,
    /// The text that it follows, and where in it.
    pub paper: &'static str,
    /// Each parameter, as `key=default`, and what it means. A core reads them from `Config::options`.
    pub params: &'static [(&'static str, &'static str)],
    /// What clients may ask of it, and what it claims.
    pub capabilities: Capabilities,
    /// Its quorums, of `n` nodes, in the words of the paper.
    pub quorums: &'static str,
    /// Which faults it claims to survive, and how many of them.
    pub survives: &'static str,
    /// What its operations cost by the paper.
    pub costs: &'static [Cost],
}

/// Something that can be done with any core, such as hosting it as a process or in the simulator.
pub trait Visit {
    /// What comes of it.
    type Output;

    /// Does it with the core `C`.
    fn visit<C: Core>(self) -> Self::Output;
}

/// Makes the registry and the way from a name to a type of two lists of `module::Type`, where `module::VARIANT` describes
/// it: every variant, and those around which bugs are built.
macro_rules! registry {
    (
        variants: $($(#[$feature:meta])? $module:ident :: $core:ident),* ;
        mutants: $($around:ident :: $bugged:ident),* ;
    ) => {
        /// Every variant, in the order in which they are listed.
        pub const VARIANTS: &[Variant] = &[$($(#[$feature])? $module::VARIANT),*];

        /// Has `visitor` visit the core of the variant `name`, or of its mutant if `options` name one. `None` if there is
        /// no such variant, or it has no mutants.
        pub fn dispatch<V: Visit>(
            name: &str,
            options: &BTreeMap<String, String>,
            visitor: V,
        ) -> Option<V::Output> {
            if options.contains_key(mutants::OPTION) {
                return match name {
                    $(_ if name == $around::VARIANT.name => {
                        Some(visitor.visit::<Mutated<$around::$bugged>>())
                    })*
                    _ => None,
                };
            }
            match name {
                $($(#[$feature])? _ if name == $module::VARIANT.name => {
                    Some(visitor.visit::<$module::$core>())
                })*
                _ => None,
            }
        }

        /// Every mutant, with the name of the variant around which it is built, by its number.
        #[must_use]
        pub fn mutants() -> Vec<(&'static str, &'static About)> {
            let mut all = Vec::new();
            $(
                let of_one = <$around::$bugged as Bugged>::MUTANTS.iter();
                all.extend(of_one.map(|mutant| ($around::VARIANT.name, &mutant.about)));
            )*
            all.sort_by_key(|(_, about)| about.number);
            all
        }
    };
}

registry! {
    variants:
        abd::Abd,
        chain::ChainReplication,
        epaxos::EPaxos,
        fast_paxos::FastPaxos,
        flexible_paxos::FlexiblePaxos,
        majority_vote::MajorityVote,
        mencius::Mencius,
        multi_paxos::MultiPaxos,
        #[cfg(feature = "omnipaxos")] omnipaxos::OmniPaxos,
        paxos::Paxos,
        primary_backup::PrimaryBackup,
        raft::Raft;
    mutants:
        abd::Abd,
        chain::ChainReplication,
        epaxos::EPaxos,
        fast_paxos::FastPaxos,
        flexible_paxos::FlexiblePaxos,
        mencius::Mencius,
        multi_paxos::MultiPaxos,
        paxos::Paxos,
        raft::Raft;
}

/// How many of `nodes` nodes must be up and connected so that the variant `name` with these options may be expected to serve;
/// `None` if there is no such variant.
///
/// # Errors
/// [`Damaged`] if the options do not fit so many nodes.
pub fn needed(
    name: &str,
    options: &BTreeMap<String, String>,
    nodes: usize,
) -> Option<Result<usize, Damaged>> {
    dispatch(name, options, Needed { nodes, options })
}

struct Needed<'o> {
    nodes: usize,
    options: &'o BTreeMap<String, String>,
}

impl Visit for Needed<'_> {
    type Output = Result<usize, Damaged>;

    fn visit<C: Core>(self) -> Self::Output {
        C::needed(self.nodes, self.options)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct TypeName;

    impl Visit for TypeName {
        type Output = &'static str;

        fn visit<C: Core>(self) -> &'static str {
            std::any::type_name::<C>()
        }
    }

    #[test]
    fn a_name_leads_to_its_own_core() {
        let none = BTreeMap::new();
        let core = dispatch("majority-vote", &none, TypeName).expect("registered");
        assert!(core.ends_with("MajorityVote"), "{core}");
        assert!(dispatch("majority-votes", &none, TypeName).is_none());
    }

    #[test]
    fn a_mutant_is_reached_where_the_variant_has_some() {
        let options = BTreeMap::from([(mutants::OPTION.to_owned(), "any".to_owned())]);
        let core = dispatch("multi-paxos", &options, TypeName).expect("registered");
        assert!(core.contains("Mutated<"), "{core}");
        assert!(dispatch("majority-vote", &options, TypeName).is_none());
    }

    #[test]
    fn mutants_have_numbers_and_names_of_their_own() {
        let mut numbers: Vec<_> = mutants().iter().map(|(_, about)| about.number).collect();
        let mut names: Vec<_> = mutants().iter().map(|(_, about)| about.name).collect();
        let count = numbers.len();
        numbers.dedup();
        names.sort_unstable();
        names.dedup();
        assert_eq!((numbers.len(), names.len()), (count, count));
    }

    #[test]
    fn every_variant_is_reached_by_its_name_and_no_other() {
        let reach = |variant: &Variant| {
            dispatch(variant.name, &BTreeMap::new(), TypeName).expect("reached")
        };
        let mut cores: Vec<_> = VARIANTS.iter().map(reach).collect();
        cores.sort_unstable();
        cores.dedup();
        assert_eq!(cores.len(), VARIANTS.len(), "two variants share a name");
    }
}
