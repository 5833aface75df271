//! The form of a finding as a JSON schema, made from its types.

use expect_test::expect_file;
use schemars::generate::SchemaSettings;

use super::{Finding, VERSION};

/// Returns the schema of the JSON that [`Finding::to_json`] writes.
fn schema() -> String {
    let mut schema =
        SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<Finding>();
    schema.insert(
        "title".to_owned(),
        format!("The finding of a load test, version {VERSION}").into(),
    );
    serde_json::to_string_pretty(&schema).unwrap() + "\n"
}

#[test]
fn the_schema_that_is_shipped_is_that_of_the_types() {
    expect_file!["../../../../docs/load-finding.schema.json"].assert_eq(&schema());
}
