//! Clock rates, from cpufreq and from ACPI.

use std::collections::BTreeSet;

use model::inventory::Frequency;

use super::CPUS;
use crate::reader::Reader;

/// The rates of one machine: of its fastest processor, and the lowest of any.
#[derive(Default)]
pub(super) struct Rates {
    pub(super) minimum: Option<Frequency>,
    pub(super) maximum: Option<Frequency>,
    pub(super) base: Option<Frequency>,
}

pub(super) fn read(reader: &Reader<'_>, online: &[u32]) -> Rates {
    let places = places(reader, online);
    let rates = |name: &str| -> Vec<u64> {
        let rate = |place: &String| reader.number::<u64>(format!("{place}/{name}"));
        places.iter().filter_map(rate).filter(|kilohertz| *kilohertz > 0).collect()
    };
    let highest = |name| rates(name).into_iter().max().map(Frequency);
    Rates {
        minimum: rates("cpuinfo_min_freq").into_iter().min().map(Frequency),
        maximum: highest("cpuinfo_max_freq"),
        base: highest("base_frequency").or_else(|| nominal(reader, online)),
    }
}

/// Where cpufreq keeps rates: a policy for all processors that share a clock, or,
/// before Linux 4.3, a folder in each processor's. Only those of processors that
/// are online: the others' files answer `EBUSY`.
fn places(reader: &Reader<'_>, online: &[u32]) -> BTreeSet<String> {
    let place = |cpu: &u32| {
        let own = format!("{CPUS}/cpu{cpu}/cpufreq");
        match reader.link_name(&own) {
            Some(policy) => format!("{CPUS}/cpufreq/{policy}"),
            None => own,
        }
    };
    model::order::set(online.iter().map(place))
}

/// What ACPI calls the rate a processor is sold with, in megahertz.
fn nominal(reader: &Reader<'_>, online: &[u32]) -> Option<Frequency> {
    let megahertz = |cpu: &u32| {
        reader.number::<u64>(format!("{CPUS}/cpu{cpu}/acpi_cppc/nominal_freq")).filter(|rate| *rate > 0)
    };
    // Where the first has none, none has.
    megahertz(online.first()?)?;
    online.iter().filter_map(megahertz).max()?.checked_mul(1000).map(Frequency)
}

/// `2595.124`, in kilohertz.
pub(super) fn parse_megahertz(text: &str) -> Option<Frequency> {
    let text = text.strip_suffix("MHz").unwrap_or(text);
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let thousandths: u64 = format!("{fraction:0<3}").get(..3)?.parse().ok()?;
    let kilohertz = whole.parse::<u64>().ok()?.checked_mul(1000)?.checked_add(thousandths)?;
    Some(Frequency(kilohertz)).filter(|frequency| frequency.0 > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frequency_is_written_as_lscpu_writes_it() {
        for (text, written) in [
            ("2595.124", Some("2595.1240")),
            ("3000", Some("3000.0000")),
            ("800.5", Some("800.5000")),
            ("3864.000000MHz", Some("3864.0000")),
            ("x", None),
            ("0", None),
        ] {
            assert_eq!(parse_megahertz(text).map(|f| f.to_string()).as_deref(), written, "{text}");
        }
    }
}
