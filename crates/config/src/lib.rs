//! From text to a typed model: lexer, conditionals, sections, keyword rows, diagnostics
