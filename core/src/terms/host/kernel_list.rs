//! CPU lists in records are written as the kernel writes them: `0-63` instead of 64 numbers.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

use crate::units::{CpuId, cpu_list, parse_cpu_list};

pub(super) fn serialize<S: Serializer>(cpus: &[CpuId], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&cpu_list(cpus))
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<CpuId>, D::Error> {
    parse(&String::deserialize(deserializer)?)
}

fn parse<E: Error>(text: &str) -> Result<Vec<CpuId>, E> {
    parse_cpu_list(text).ok_or_else(|| E::custom(format!("{text:?} is not a CPU list")))
}

/// The same where there may be no list.
pub(super) mod optional {
    use super::*;

    pub(in crate::terms::host) fn serialize<S: Serializer>(
        cpus: &Option<Vec<CpuId>>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        cpus.as_deref().map(cpu_list).serialize(serializer)
    }

    pub(in crate::terms::host) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Vec<CpuId>>, D::Error> {
        Option::<String>::deserialize(deserializer)?.as_deref().map(parse).transpose()
    }
}
