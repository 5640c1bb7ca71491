//! What this processor says of itself.

use netc_schedule::Caches;

/// Sizes that caches of processors have; others are mistakes of what tells them, such as a virtual machine.
#[cfg(target_arch = "x86_64")]
const SECOND_BYTES: std::ops::RangeInclusive<usize> = (128 << 10)..=(64 << 20);
#[cfg(target_arch = "x86_64")]
const LAST_BYTES: std::ops::RangeInclusive<usize> = (1 << 20)..=(1 << 30);

/// Its name for itself, with what tells it from others of that name.
#[cfg(target_arch = "x86_64")]
pub(crate) fn name() -> String {
    let id = raw_cpuid::CpuId::new();
    let brand = id.get_processor_brand_string();
    let brand = brand.as_ref().map_or("x86-64", |brand| brand.as_str().trim());
    id.get_feature_info().map_or(brand.to_owned(), |info| {
        let (family, model, stepping) = (info.family_id(), info.model_id(), info.stepping_id());
        format!("{brand}, family {family} model {model} stepping {stepping}")
    })
}

/// Its caches; typical ones where it does not say.
#[cfg(target_arch = "x86_64")]
pub(crate) fn caches() -> Caches {
    use raw_cpuid::CacheType;

    let id = raw_cpuid::CpuId::new();
    let described = id.get_cache_parameters().into_iter().flatten();
    let data = described.filter(|cache| matches!(cache.cache_type(), CacheType::Data | CacheType::Unified));
    let sizes: Vec<(u8, usize)> = data
        .map(|cache| {
            let ways = cache.associativity() * cache.physical_line_partitions();
            (cache.level(), cache.sets() * ways * cache.coherency_line_size())
        })
        .collect();
    let of_level = |level: u8| sizes.iter().find(|size| size.0 == level).map(|size| size.1);
    Caches {
        second_bytes: of_level(2)
            .filter(|bytes| SECOND_BYTES.contains(bytes))
            .unwrap_or(Caches::TYPICAL.second_bytes),
        last_bytes: of_level(3)
            .filter(|bytes| LAST_BYTES.contains(bytes))
            .unwrap_or(Caches::TYPICAL.last_bytes),
    }
}

/// Multiply-adds of 512-bit vectors that it starts in a cycle: Zen 4 sends such a vector through a 256-bit unit in halves,
/// others with AVX-512 have two units for them.
#[cfg(target_arch = "x86_64")]
pub(crate) fn wide_multiply_adds() -> usize {
    const ZEN_4: u8 = 25;
    let id = raw_cpuid::CpuId::new();
    let vendor = id.get_vendor_info();
    let family = id.get_feature_info().map(|info| info.family_id());
    let halves = vendor.is_some_and(|vendor| vendor.as_str() == "AuthenticAMD") && family == Some(ZEN_4);
    if halves { 1 } else { 2 }
}

/// Its architecture: other processors do not say more to a program.
#[cfg(not(target_arch = "x86_64"))]
pub(crate) fn name() -> String {
    std::env::consts::ARCH.to_owned()
}

/// Typical ones: other processors do not say more to a program.
#[cfg(not(target_arch = "x86_64"))]
pub(crate) fn caches() -> Caches {
    Caches::TYPICAL
}

/// None of the others has such vectors.
#[cfg(not(target_arch = "x86_64"))]
pub(crate) fn wide_multiply_adds() -> usize {
    2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn caches_are_of_sizes_that_there_are() {
        let Caches {
            second_bytes,
            last_bytes,
        } = caches();
        assert!(
            second_bytes >= 128 << 10 && second_bytes <= last_bytes,
            "{second_bytes}, {last_bytes}"
        );
        assert!(!name().is_empty());
    }
}
