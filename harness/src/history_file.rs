//! Opens one recorded history, whatever its format, and tells what its format says of its model.

use tribunal_history::formats::Format;
use tribunal_spec::Spec;

pub(crate) use tribunal_history::formats::open;

/// The model of formats that only one kind of history is written in.
pub(crate) fn model(format: Format) -> Option<Spec> {
    match format {
        Format::PorcupineEtcd => Some(Spec::named("porcupine-etcd")),
        Format::PorcupineKv => Some(Spec::named("kv")),
        Format::Jsonl
        | Format::Edn
        | Format::JepsenText
        | Format::Json
        | Format::EtcdOperations => None,
    }
}
