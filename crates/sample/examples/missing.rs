//! Names that HAProxy has and we refuse: `cargo run -p portcullis-sample --example missing`.

use portcullis_sample::{known, vocabulary};

fn main() {
    let v = vocabulary();
    let missing = |names: &[&'static str], has: &dyn Fn(&str) -> bool| {
        names.iter().filter(|n| !has(n)).copied().collect::<Vec<_>>().join(" ")
    };
    println!("fetches: {}", missing(known::FETCHES, &|n| v.fetch(n).is_some()));
    println!("converters: {}", missing(known::CONVERTERS, &|n| v.converter(n).is_some()));
    println!(
        "ACL keywords: {}",
        missing(known::ACL_KEYWORDS, &|n| v.acl(n).is_some() || v.fetch(n).is_some())
    );
}
