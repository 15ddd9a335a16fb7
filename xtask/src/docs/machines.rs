// SPDX-License-Identifier: GPL-2.0-only
//! What docs/machines.md says of the keys of machine files and of the words that scenarios need, from the types.

use std::collections::{BTreeMap, VecDeque};

use anyhow::{Context, Result};
use serde_json::{Map, Value};

use crate::needs::{Kind, WORDS};
#[cfg(not(test))]
use crate::{cargo_tool, workspace};

/// The page.
pub(super) const PAGE: &str = "machines.md";

/// Its generated parts: the name of each, and its text.
///
/// # Errors
///
/// The schema is not what it should be.
pub(super) fn parts() -> Result<[(&'static str, String); 2]> {
    Ok([("keys of machine files", keys()?), ("words of needs", words())])
}

/// The schemas of a machine, and of what files say of others.
#[cfg(test)]
fn schemas() -> Result<[Value; 2]> {
    use resctrl_hardware::machine::{Likeness, Machine};
    use schemars::schema_for;
    Ok([schema_for!(Machine).into(), schema_for!(Likeness).into()])
}

/// The schemas of a machine, and of what files say of others: from a program of the crate that reads them, since its crates make
/// some minutes out of seconds; tests have them anyway.
#[cfg(not(test))]
fn schemas() -> Result<[Value; 2]> {
    let arguments = ["run", "--quiet", "--package", "resctrl-hardware", "--features", "schema", "--example", "schema"];
    let text = duct::cmd(cargo_tool::program(), arguments)
        .dir(workspace::root())
        .read()
        .context("the schemas cannot be had")?;
    serde_json::from_str(&text).context("the schemas are no JSON")
}

/// A table for each table of a machine file.
fn keys() -> Result<String> {
    let [machine, likeness] = schemas()?;
    let types = machine["$defs"].as_object().context("the schema has no types")?;
    let mut text = "### The file itself\n\n".to_owned();
    text.push_str(&table("Key", &[rows(&likeness, types)?, rows(&machine, types)?].concat()));
    for section in sections(&machine, types)? {
        let schema = &types[&section.of];
        text.push_str(&format!("\n### {}\n\n{}\n\n", section.paths.join(", "), about(schema)));
        text.push_str(&match schema.get("properties") {
            Some(_) => table("Key", &rows(schema, types)?),
            None => table("Value", &variants(schema, types)),
        });
    }
    Ok(text)
}

/// A part of the page: the tables or values of one type, wherever they can be.
struct Section {
    of: String,
    paths: Vec<String>,
}

/// Every type that the file's keys lead to, from the top down.
fn sections(machine: &Value, types: &Map<String, Value>) -> Result<Vec<Section>> {
    let mut sections: Vec<Section> = Vec::new();
    let mut queue = VecDeque::from([(String::new(), machine)]);
    while let Some((prefix, schema)) = queue.pop_front() {
        for (key, property) in properties(schema)? {
            let (of, is_list) = match (type_of(property), property.get("items").and_then(type_of)) {
                (Some(of), _) => (of, false),
                (None, Some(of)) => (of, true),
                (None, None) => continue,
            };
            let path = format!("{prefix}{key}");
            let inner = &types[of];
            let shown = match (inner.get("properties").is_some(), is_list) {
                (true, true) => format!("`[[{path}]]`"),
                (true, false) => format!("`[{path}]`"),
                (false, _) => format!("Values of `{path}`"),
            };
            match sections.iter_mut().find(|section| section.of == of) {
                Some(section) => section.paths.push(shown),
                None => sections.push(Section { of: of.to_owned(), paths: vec![shown] }),
            }
            if inner.get("properties").is_some() {
                queue.push_back((format!("{path}."), inner));
            }
        }
    }
    Ok(sections)
}

fn properties(schema: &Value) -> Result<&Map<String, Value>> {
    schema["properties"].as_object().context("a table without keys")
}

/// The type that a value has, if it is one with a name; what may be left out has it as one of two.
fn type_of(schema: &Value) -> Option<&str> {
    let choices = schema.get("anyOf").and_then(Value::as_array).into_iter().flatten();
    let reference = std::iter::once(schema).chain(choices).find_map(|it| it.get("$ref"))?;
    reference.as_str()?.rsplit('/').next()
}

/// A row for each key of a table: key, value, value if not given, meaning.
fn rows(schema: &Value, types: &Map<String, Value>) -> Result<Vec<[String; 4]>> {
    let required: Vec<&str> = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let row = |(key, property): (&String, &Value)| {
        let default = match property.get("default") {
            _ if required.contains(&key.as_str()) => "has to be given".to_owned(),
            Some(Value::Null) | None => String::new(),
            Some(value) => match value.as_u64().filter(|number| *number > 0xffff) {
                Some(address) => format!("`{address:#x}`"),
                None => format!("`{value}`"),
            },
        };
        [format!("`{key}`"), kind(property, types), default, about(property)]
    };
    Ok(properties(schema)?.iter().map(row).collect())
}

/// A row for each value of a choice.
fn variants(schema: &Value, types: &Map<String, Value>) -> Vec<[String; 4]> {
    let row = |variant: &Value| {
        let value = match variant.get("properties").and_then(Value::as_object).and_then(|it| it.iter().next()) {
            Some((key, inner)) => format!("`{{ {key} = … }}`, {}", kind(inner, types)),
            None => format!("`{}`", variant["const"]),
        };
        [value, String::new(), String::new(), about(variant)]
    };
    schema["oneOf"].as_array().into_iter().flatten().map(row).collect()
}

/// What a value is.
fn kind(schema: &Value, types: &Map<String, Value>) -> String {
    if let Some(of) = type_of(schema) {
        let is_table = types[of].get("properties").is_some();
        return if is_table { "a table".to_owned() } else { "one of several, see below".to_owned() };
    }
    if let Some(items) = schema.get("items") {
        return match type_of(items).is_some_and(|of| types[of].get("properties").is_some()) {
            true => "tables".to_owned(),
            false => format!("a list, each {}", kind(items, types)),
        };
    }
    let types = match &schema["type"] {
        Value::Array(types) => types.iter().filter_map(Value::as_str).find(|name| *name != "null"),
        name => name.as_str(),
    };
    match types {
        Some("integer" | "number") => "a number".to_owned(),
        Some("boolean") => "`true` or `false`".to_owned(),
        Some("string") => "a text".to_owned(),
        other => other.unwrap_or("anything").to_owned(),
    }
}

/// What the source says of it, in one line.
fn about(schema: &Value) -> String {
    let text = schema["description"].as_str().unwrap_or_default();
    // Links of rustdoc lead nowhere here.
    let text = text.replace("[`", "`").replace("`]", "`");
    text.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|")
}

/// A table without the columns that are empty.
fn table(first: &str, rows: &[[String; 4]]) -> String {
    let names = [first, "Value", "If not given", "Meaning"];
    let used: Vec<usize> = (0..4).filter(|&column| rows.iter().any(|row| !row[column].is_empty())).collect();
    let line = |cells: &dyn Fn(usize) -> String| {
        let cells: Vec<String> = used.iter().map(|&column| cells(column)).collect();
        format!("| {} |\n", cells.join(" | "))
    };
    let mut text = line(&|column| names[column].to_owned()) + &format!("|{}\n", "---|".repeat(used.len()));
    for row in rows {
        text.push_str(&line(&|column| row[column].clone()));
    }
    text
}

/// The words, with what they are.
fn words() -> String {
    let forms = BTreeMap::from([(false, "there or not"), (true, "a number")]);
    let mut text = "| Word | | Meaning |\n|---|---|---|\n".to_owned();
    for (word, kind, about) in WORDS {
        text.push_str(&format!("| `{word}` | {} | {about} |\n", forms[&(*kind == Kind::Number)]));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_has_its_table_its_default_and_its_meaning() {
        let text = keys().unwrap();
        for line in [
            "| `arch` | one of several, see below | has to be given | Instruction set, which also says which QEMU runs it. |",
            "| `threads` | a number | `1` | Threads a core. |",
            "| `l3_cores` | a number |  | Cores that share one L3; all of the socket if not given. |",
            "### `[qos.l2]`, `[qos.l3]`, `[rdt.l2]`, `[rdt.l3]`",
            "### `[[mpam.msc.ris]]`",
            "| `cdp` | `true` or `false` | `false` | Whether code and data prioritization can be switched on. |",
            "| `\"no_cache_ids\"` | The PPTT gives no cache an id. |",
            "| `not_ready_us` | a number |  | Microseconds that a monitor needs; if not given, its not-ready bit is software's alone. |",
        ] {
            assert!(text.lines().any(|it| it == line) || text.contains(&format!("{line}\n")), "{line}\n{text}");
        }
        assert!(text.contains("| `like` |") && text.contains("`{ l3 = … }`, a number"), "{text}");
        assert!(!text.contains("anything"), "a value of no known kind: {text}");
    }
}
