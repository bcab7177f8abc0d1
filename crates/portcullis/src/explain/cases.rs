//! Files of cases (YAML): requests, and what is expected to come of them.

use super::case::{self, Case};
use super::compare::{Expected, Head, Text};
use super::expanded;
use portcullis_sample::pattern::Regex;
use std::path::{Path, PathBuf};
use yaml_rust2::yaml::Hash;
use yaml_rust2::{Yaml, YamlLoader};

/// A file.
pub struct Cases {
    /// The configuration's files.
    pub config: Vec<PathBuf>,
    /// Requests and expectations.
    pub list: Vec<(Case, Expected)>,
}

type Read<T> = Result<T, String>;

/// Reads a file.
///
/// # Errors
/// What is wrong with it.
pub fn read(path: &str) -> Read<Cases> {
    let text = std::fs::read_to_string(path).map_err(|e| e.to_string())?;
    let directory = Path::new(path).parent().unwrap_or(Path::new(""));
    parse(&text, directory)
}

fn parse(text: &str, directory: &Path) -> Read<Cases> {
    if expanded::nodes(text) > expanded::MOST {
        return Err(format!("its aliases make it larger than {} values", expanded::MOST));
    }
    let documents = YamlLoader::load_from_str(text).map_err(|e| e.to_string())?;
    let root = documents.first().ok_or("it is empty")?;
    let (mut config, mut list, mut base) = (Vec::new(), Vec::new(), Case::default());
    for (key, value) in pairs(root, "the file")? {
        match key {
            "config" => {
                let names = strings(value)?;
                config.extend(names.iter().map(|n| directory.join(n)));
            }
            "defaults" => set(&mut base, &mut Expected::default(), value, "defaults")?,
            "cases" => {
                for (i, c) in value.as_vec().ok_or("'cases' is no list")?.iter().enumerate() {
                    let (mut case, mut expected) = (base.clone(), Expected::default());
                    let name = c["name"].as_str().map_or_else(|| format!("case {}", i + 1), str::to_owned);
                    set(&mut case, &mut expected, c, &name)?;
                    if case.url.is_empty() {
                        return Err(format!("{name}: there is no 'request'"));
                    }
                    case.name = name;
                    list.push((case, expected));
                }
            }
            other => return Err(format!("'{other}' is not known; 'config', 'defaults' and 'cases' are")),
        }
    }
    match config.is_empty() {
        true => Err("there is no 'config'".into()),
        false if list.is_empty() => Err("there are no cases".into()),
        false => Ok(Cases { config, list }),
    }
}

/// The keys and values of a mapping.
fn pairs<'y>(yaml: &'y Yaml, what: &str) -> Read<Vec<(&'y str, &'y Yaml)>> {
    let map: &Hash = yaml.as_hash().ok_or_else(|| format!("{what} is no mapping"))?;
    map.iter()
        .map(|(k, v)| Ok((k.as_str().ok_or_else(|| format!("{what} has a key that is no text"))?, v)))
        .collect()
}

/// A scalar as text.
fn scalar(yaml: &Yaml) -> Read<String> {
    match yaml {
        Yaml::String(s) | Yaml::Real(s) => Ok(s.clone()),
        Yaml::Integer(n) => Ok(n.to_string()),
        Yaml::Boolean(b) => Ok(b.to_string()),
        _ => Err("a text or a number is expected".into()),
    }
}

fn strings(yaml: &Yaml) -> Read<Vec<String>> {
    match yaml {
        Yaml::Array(all) => all.iter().map(scalar).collect(),
        one => Ok(vec![scalar(one)?]),
    }
}

/// Fields: a mapping, whose values may be lists.
fn fields(yaml: &Yaml) -> Read<Vec<(String, String)>> {
    let mut all = Vec::new();
    for (name, value) in pairs(yaml, "'headers'")? {
        all.extend(strings(value)?.into_iter().map(|v| (name.to_owned(), v)));
    }
    Ok(all)
}

fn set(case: &mut Case, expected: &mut Expected, yaml: &Yaml, name: &str) -> Read<()> {
    let read = |e: String| format!("{name}: {e}");
    for (key, value) in pairs(yaml, name)? {
        match key {
            "name" => Ok(()),
            "request" => scalar(value).map(|t| case.set_request(&t)),
            "headers" => fields(value).map(|own| {
                // those of the defaults give way to the case's own
                case.fields.retain(|d| !own.iter().any(|f| f.0.eq_ignore_ascii_case(&d.0)));
                case.fields.extend(own);
            }),
            "body" => scalar(value).map(|t| case.body = t.into_bytes()),
            "src" => scalar(value).and_then(|t| case::address(&t)).map(|a| case.source = Some(a)),
            "dst" => scalar(value).and_then(|t| case::address(&t)).map(|a| case.destination = Some(a)),
            "frontend" => scalar(value).map(|t| case.frontend = Some(t)),
            "response" => response(case, value),
            "expect" => expect(expected, value),
            other => Err(format!("'{other}' is not known")),
        }
        .map_err(|e| read(format!("{key}: {e}")))?;
    }
    Ok(())
}

/// What the server answers.
fn response(case: &mut Case, yaml: &Yaml) -> Read<()> {
    for (key, value) in pairs(yaml, "'response'")? {
        match key {
            "status" => case.canned.status = case::status(&scalar(value)?)?,
            "headers" => {
                let all = fields(value)?.into_iter().map(|(n, v)| (n.into_bytes(), v.into_bytes()));
                case.canned.fields = all.collect();
            }
            "body" => case.canned.body = scalar(value)?.into_bytes(),
            other => return Err(format!("'{other}' is not known")),
        }
    }
    Ok(())
}

fn expect(to: &mut Expected, yaml: &Yaml) -> Read<()> {
    for (key, value) in pairs(yaml, "'expect'")? {
        match key {
            "frontend" => to.frontend = Some(scalar(value)?),
            "backend" => to.backend = Some(name(value)?),
            "server" => to.server = Some(name(value)?),
            "status" => to.status = Some(case::status(&scalar(value)?)?),
            "rules" => to.rules = strings(value)?,
            "no_rules" => to.no_rules = strings(value)?,
            "log" => to.log = Some(text(value)?),
            "request" => to.request = head(value)?,
            "response" => to.response = head(value)?,
            other => return Err(format!("'{other}' is not known")),
        }
    }
    Ok(())
}

/// A name; `null`: there is none.
fn name(yaml: &Yaml) -> Read<Option<String>> {
    if yaml.is_null() { Ok(None) } else { scalar(yaml).map(Some) }
}

fn head(yaml: &Yaml) -> Read<Head> {
    let mut head = Head::default();
    for (key, value) in pairs(yaml, "a head")? {
        match key {
            "method" => head.method = Some(text(value)?),
            "uri" => head.uri = Some(text(value)?),
            "body" => head.body = Some(text(value)?),
            "headers" => {
                for (name, value) in pairs(value, "'headers'")? {
                    let wanted = if value.is_null() { None } else { Some(text(value)?) };
                    head.fields.push((name.to_ascii_lowercase(), wanted));
                }
            }
            other => return Err(format!("'{other}' is not known")),
        }
    }
    Ok(head)
}

/// A text, or `matches: <regex>`, or `contains: <text>`.
fn text(yaml: &Yaml) -> Read<Text> {
    let Some(map) = yaml.as_hash() else { return scalar(yaml).map(Text::Is) };
    let mut all = map.iter();
    match (all.next(), all.next()) {
        (Some((key, value)), None) => match key.as_str() {
            Some("matches") => {
                Ok(Text::Matches(Regex::new(scalar(value)?.as_bytes(), false)?, scalar(value)?))
            }
            Some("contains") => scalar(value).map(Text::Contains),
            _ => Err("'matches' or 'contains' is expected".into()),
        },
        _ => Err("a text, 'matches' or 'contains' is expected".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_read() {
        let text = "
config: [a.cfg, b.cfg]
defaults: { src: 10.0.0.1, headers: { X: 1 } }
cases:
  - name: first
    request: GET https://a.example/
    headers: { Cookie: [a=1, b=2] }
    response: { status: 404, headers: { Y: z } }
    expect:
      backend: null
      status: 302
      rules: [3, if TRUE]
      response: { headers: { location: { matches: ^http }, x-none: null } }
  - request: /b
";
        let cases = parse(text, Path::new("/d")).unwrap();
        assert_eq!(cases.config, [Path::new("/d/a.cfg"), Path::new("/d/b.cfg")]);
        let (case, expected) = &cases.list[0];
        assert_eq!(
            (&*case.name, &*case.method, case.fields.len(), case.canned.status),
            ("first", "GET", 3, 404)
        );
        assert_eq!(
            (expected.backend.clone(), expected.status, expected.rules.len()),
            (Some(None), Some(302), 2)
        );
        assert_eq!(cases.list[1].0.name, "case 2");
    }

    #[test]
    fn what_is_wrong_is_told() {
        let mut bomb = "config: a\na0: &a0 [x, x]\n".to_owned();
        (1..30).for_each(|i| bomb += &format!("a{i}: &a{i} [*a{}, *a{}]\n", i - 1, i - 1));
        for (text, why) in [
            ("", "it is empty"),
            (&*bomb, "its aliases make it larger than 1000000 values"),
            ("cases: []", "there is no 'config'"),
            ("config: a\nfoo: 1", "'foo' is not known; 'config', 'defaults' and 'cases' are"),
            ("config: a\ncases:\n - name: x", "x: there is no 'request'"),
            (
                "config: a\ncases:\n - name: x\n   request: /\n   expect: { stat: 1 }",
                "x: expect: 'stat' is not known",
            ),
            ("config: a\ncases:\n - request: /\n   src: x", "case 1: src: 'x' is no address."),
        ] {
            assert_eq!(parse(text, Path::new("")).err().unwrap(), why, "{text}");
        }
    }
}
