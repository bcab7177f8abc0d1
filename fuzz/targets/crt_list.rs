//! A line of a crt-list: it is taken apart or refused, and what was taken apart reads the same again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use portcullis_tls::rows::crt_list::row;

fuzz_target!(|raw: &[u8]| {
    let Ok(line) = std::str::from_utf8(raw) else { return };
    let Ok(Some(read)) = row(line) else { return };
    assert!(!read.crt.is_empty() && read.filters.iter().all(|f| !f.is_empty()));
    let options = if read.bracketed { format!("[{}]", read.options.join(" ")) } else { String::new() };
    let again = format!("{} {options} {}", read.crt, read.filters.join(" "));
    // a name may hold what stands for something else elsewhere on the line
    if !again.trim_start().starts_with('#') && !read.filters.iter().any(|f| f.contains('[')) {
        assert_eq!(row(&again), Ok(Some(read)));
    }
});
