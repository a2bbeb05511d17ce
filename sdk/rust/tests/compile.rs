//! Mistakes that do not compile, and that the messages say what to do.

#[test]
fn a_mistake_is_a_compile_error_that_names_the_remedy() {
    let cases = trybuild::TestCases::new();
    cases.pass("tests/ui/right.rs");
    cases.compile_fail("tests/ui/wrong_*.rs");
    cases.compile_fail("tests/ui/stateless/wrong_*.rs");
    cases.compile_fail("tests/ui/undeclared/wrong_*.rs");
}
