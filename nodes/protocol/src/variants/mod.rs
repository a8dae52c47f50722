//! The algorithms, one a file, and their registry.
//!
//! To add one: write its file, with a type that implements [`Core`] and a constant `VARIANT: Variant` beside it, and
//! put its line into the `registry!` below.

pub mod majority_vote;
pub mod multi_paxos;

use crate::core::Core;
use crate::machine::Capabilities;
use crate::mutants;
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
}

/// Something that can be done with any core, such as hosting it as a process or in the simulator.
pub trait Visit {
    /// What comes of it.
    type Output;

    /// Does it with the core `C`.
    fn visit<C: Core>(self) -> Self::Output;
}

/// Makes the registry and the way from a name to a type of one list: `module::Type`, where `module::VARIANT`
/// describes it.
macro_rules! registry {
    ($($module:ident :: $core:ident),* $(,)?) => {
        /// Every variant, in the order in which they are listed.
        pub const VARIANTS: &[Variant] = &[$($module::VARIANT),*];

        /// Has `visitor` visit the core of the variant `name`, or of its mutant if `options` name one. `None` if there is
        /// no such variant, or it has no mutants.
        pub fn dispatch<V: Visit>(
            name: &str,
            options: &BTreeMap<String, String>,
            visitor: V,
        ) -> Option<V::Output> {
            if options.contains_key(mutants::OPTION) {
                let mutated = name == multi_paxos::VARIANT.name;
                return mutated.then(|| visitor.visit::<mutants::Mutated>());
            }
            match name {
                $(_ if name == $module::VARIANT.name => Some(visitor.visit::<$module::$core>()),)*
                _ => None,
            }
        }
    };
}

registry! {
    majority_vote::MajorityVote,
    multi_paxos::MultiPaxos,
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
    fn only_multi_paxos_has_mutants() {
        let options = BTreeMap::from([(mutants::OPTION.to_owned(), "any".to_owned())]);
        let core = dispatch("multi-paxos", &options, TypeName).expect("registered");
        assert!(core.ends_with("Mutated"), "{core}");
        assert!(dispatch("majority-vote", &options, TypeName).is_none());
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
