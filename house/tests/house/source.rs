//! Reading Rust source: functions with their sizes, and code without its tests.

use proc_macro2::{Delimiter, Group, Span, TokenStream, TokenTree};
use quote::ToTokens;
use syn::spanned::Spanned;
use syn::visit::{self, Visit};
use syn::{Attribute, File, ImplItem, Item};

/// A function with a body, free or of an impl or trait.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Function {
    /// Its name, without the type it belongs to.
    pub name: String,
    /// The line of `fn`, from 1.
    pub line: usize,
    /// Lines from `fn` to the closing brace, both included.
    pub lines: usize,
    /// Whether a test attribute (`#[test]`, `#[tokio::test]`, …) marks it.
    pub is_test: bool,
}

/// All functions of a file, nested ones and those of test modules included.
pub fn functions(file: &File) -> Vec<Function> {
    let mut found = Functions(Vec::new());
    found.visit_file(file);
    found.0
}

/// Whether a path holds only tests: below a `tests` folder, or a `tests.rs`
/// that a `#[cfg(test)] mod tests;` names.
pub fn is_test_path(path: &str) -> bool {
    path.split('/')
        .any(|part| part == "tests" || part == "tests.rs")
}

/// The file without what is compiled for tests only.
pub fn production(mut file: File) -> File {
    strip_tests(&mut file.items);
    file
}

/// Lines taken by the parts that are compiled for tests only.
pub fn test_lines(file: &File) -> usize {
    let is_test_item = |item: &&Item| is_for_tests(attributes(item));
    let lines = |item: &Item| lines_of(item.span());
    file.items.iter().filter(is_test_item).map(lines).sum()
}

/// Every string literal of the file with its line, macro arguments included;
/// documentation comments, which the parser turns into literals, are not.
pub fn literals_of(file: File) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    collect_literals(file.into_token_stream(), &mut found);
    found
}

fn collect_literals(tokens: TokenStream, found: &mut Vec<(usize, String)>) {
    for token in tokens {
        match token {
            TokenTree::Group(group) if is_doc(&group) => {}
            TokenTree::Group(group) => collect_literals(group.stream(), found),
            TokenTree::Literal(literal) => {
                let line = literal.span().start().line;
                if let Ok(text) = syn::parse_str::<syn::LitStr>(&literal.to_string()) {
                    found.push((line, text.value()));
                }
            }
            TokenTree::Ident(_) | TokenTree::Punct(_) => {}
        }
    }
}

/// The `[doc = "…"]` that a documentation comment becomes.
fn is_doc(group: &Group) -> bool {
    let first = group.stream().into_iter().next();
    group.delimiter() == Delimiter::Bracket
        && matches!(first, Some(TokenTree::Ident(ident)) if ident == "doc")
}

struct Functions(Vec<Function>);

impl Functions {
    fn push(&mut self, attributes: &[Attribute], signature: &syn::Signature, block: &syn::Block) {
        let line = signature.fn_token.span.start().line;
        let end = block.brace_token.span.close().end().line;
        self.0.push(Function {
            name: signature.ident.to_string(),
            line,
            lines: end + 1 - line,
            is_test: attributes.iter().any(is_test_attribute),
        });
    }
}

impl<'ast> Visit<'ast> for Functions {
    fn visit_item_fn(&mut self, node: &'ast syn::ItemFn) {
        self.push(&node.attrs, &node.sig, &node.block);
        visit::visit_item_fn(self, node);
    }

    fn visit_impl_item_fn(&mut self, node: &'ast syn::ImplItemFn) {
        self.push(&node.attrs, &node.sig, &node.block);
        visit::visit_impl_item_fn(self, node);
    }

    fn visit_trait_item_fn(&mut self, node: &'ast syn::TraitItemFn) {
        if let Some(block) = &node.default {
            self.push(&node.attrs, &node.sig, block);
        }
        visit::visit_trait_item_fn(self, node);
    }
}

fn is_test_attribute(attribute: &Attribute) -> bool {
    let last = attribute.path().segments.last();
    last.is_some_and(|segment| segment.ident == "test")
}

fn strip_tests(items: &mut Vec<Item>) {
    items.retain(|item| !is_for_tests(attributes(item)));
    for item in items {
        match item {
            Item::Mod(module) => {
                if let Some((_, inner)) = &mut module.content {
                    strip_tests(inner);
                }
            }
            Item::Impl(block) => block.items.retain(|item| match item {
                ImplItem::Fn(function) => !is_for_tests(&function.attrs),
                _ => true,
            }),
            _ => {}
        }
    }
}

/// `#[cfg(test)]`, also within `all(…)`, and test functions themselves.
fn is_for_tests(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        if !attribute.path().is_ident("cfg") {
            return is_test_attribute(attribute);
        }
        let condition = match &attribute.meta {
            syn::Meta::List(list) => list.tokens.to_string().replace(' ', ""),
            _ => String::new(),
        };
        condition == "test" || condition.starts_with("all(test,")
    })
}

fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

fn lines_of(span: Span) -> usize {
    span.end().line + 1 - span.start().line
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "\
fn first() {
    let inner = 1;
}

struct S;
impl S {
    fn second(&self) {}
    #[cfg(test)]
    fn third(&self) {}
}

#[cfg(test)]
mod tests {
    #[tokio::test(flavor = \"current_thread\")]
    async fn fourth() { panic!(\"text {}\", 1) }
}
";

    fn parse() -> File {
        syn::parse_file(FILE).expect("the fixture is Rust")
    }

    #[test]
    fn functions_are_found_in_impls_and_test_modules_with_their_lines() {
        let found = functions(&parse());
        let names: Vec<&str> = found.iter().map(|f| f.name.as_str()).collect();
        assert_eq!(names, ["first", "second", "third", "fourth"]);
        assert_eq!((found[0].line, found[0].lines), (1, 3));
        assert_eq!((found[0].is_test, found[3].is_test), (false, true));
    }

    #[test]
    fn production_code_is_what_remains_without_test_modules_and_test_only_methods() {
        let names: Vec<String> = functions(&production(parse()))
            .into_iter()
            .map(|f| f.name)
            .collect();
        assert_eq!(names, ["first", "second"]);
        assert_eq!(test_lines(&parse()), 5);
    }

    #[test]
    fn literals_are_found_inside_macro_arguments_with_their_line() {
        assert!(literals_of(parse()).contains(&(15, "text {}".to_owned())));
    }

    #[test]
    fn test_paths_are_told_by_folder_and_by_file_name() {
        assert!(is_test_path("host/wharf/tests/kill.rs"));
        assert!(is_test_path("host/core/src/admit/tests.rs"));
        assert!(!is_test_path("host/core/src/contests.rs"));
    }
}
