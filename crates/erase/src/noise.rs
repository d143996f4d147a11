//! Telling noise from text: what was encrypted reads as noise once its key is gone.

/// The kinds of bytes.
const KINDS: usize = 256;
/// Above this, bytes are not spread as noise spreads them. Of noise the sum is
/// 255 on average and deviates by 23 (a chi-squared distribution of 255 degrees
/// of freedom); ten deviations more happen to no disk. A page of text, code or
/// tables is above 2,000.
const MOST: u64 = 500;
/// Fewer bytes say nothing.
const FEWEST: usize = 512;

/// True when `bytes` look random. Compressed and encrypted data does too: this
/// finds plain text that was left, and nothing else.
pub(crate) fn is_noise(bytes: &[u8]) -> bool {
    if bytes.len() < FEWEST {
        return true;
    }
    let mut counts = [0_u64; KINDS];
    for &byte in bytes {
        counts[usize::from(byte)] += 1;
    }
    // Σ (n − e)² / e with e = length / 256, without fractions: Σ n² · 256 / length − length.
    let squares: u64 = counts.iter().map(|count| count * count).sum();
    let length = bytes.len() as u64;
    (squares * KINDS as u64 / length).saturating_sub(length) <= MOST
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Seed;

    #[test]
    fn noise_is_noise_ten_thousand_times() {
        let mut draw = Seed(5).draw();
        for length in [512, 4096] {
            let mut bytes = vec![0; length];
            for _ in 0..5_000 {
                draw.fill(&mut bytes);
                assert!(is_noise(&bytes));
            }
        }
    }

    #[test]
    fn text_code_and_tables_are_not() {
        // By this name also when another build has just replaced it.
        let program = std::fs::read("/proc/self/exe").expect("this program");
        let text = include_str!("prove.rs").as_bytes();
        let table: Vec<u8> = (0_u32..1024).flat_map(u32::to_le_bytes).collect();
        for (name, bytes) in [("text", text), ("code", &program[program.len() / 3..]), ("table", &table)] {
            assert!(!is_noise(&bytes[..4096]), "{name}");
        }
        assert!(!is_noise(&text[..512]));
    }
}
