//! Texts with parameters in them: `${name}`, and `$$` for a dollar sign.

use std::collections::BTreeMap;
use std::sync::Arc;

use safeconduct_model::{Parameter, ParameterType, Piece, Term, Value};

use crate::document::closest;
use crate::field::{listed, shown};

/// What is wrong with a term, and what to do about it.
pub(super) struct Slip {
    pub(super) message: String,
    pub(super) help: Option<String>,
}

/// What a term is once the parameters are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sort {
    Text,
    Number,
    Boolean,
}

impl Sort {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Text => "a text",
            Self::Number => "a number",
            Self::Boolean => "a truth value",
        }
    }
}

/// The parameters of an intent, by name.
pub(super) struct Parameters<'a>(pub(super) &'a BTreeMap<Arc<str>, Parameter>);

impl Parameters<'_> {
    /// The term that a value of the document stands for.
    pub(super) fn term(&self, value: &Value) -> Result<Term, Slip> {
        let Value::String(text) = value else {
            return Ok(Term::Literal(value.clone()));
        };
        let mut pieces = pieces(text)?;
        let alone = pieces.len() == 1;
        for piece in &pieces {
            if let Piece::Parameter(name) = piece {
                let parameter = self.known(name)?;
                if !alone && !parameter.ty.interpolates() {
                    return Err(not_within_text(name, &parameter.ty));
                }
            }
        }
        Ok(match pieces.pop() {
            None => Term::Literal(Value::from("")),
            Some(Piece::Literal(text)) if alone => Term::Literal(Value::String(text)),
            Some(Piece::Parameter(name)) if alone => Term::Parameter(name),
            Some(last) => {
                pieces.push(last);
                Term::Text(pieces)
            }
        })
    }

    /// The same, for what is compared with an id: ids are texts, so a lone whole number becomes
    /// the text of it.
    pub(super) fn id_term(&self, value: &Value) -> Result<Term, Slip> {
        let term = self.term(value)?;
        match &term {
            Term::Parameter(name) => match self.known(name)?.ty {
                ParameterType::Integer { .. } => {
                    Ok(Term::Text(vec![Piece::Parameter(Arc::clone(name))]))
                }
                ParameterType::Number | ParameterType::Boolean => Err(Slip {
                    message: format!("parameter `{name}` is no text, and an id always is"),
                    help: Some(
                        "make it an `identifier`, a `text`, `one_of` or an `integer`".into(),
                    ),
                }),
                _ => Ok(term),
            },
            _ => Ok(term),
        }
    }

    /// What the term will be.
    pub(super) fn sort(&self, term: &Term) -> Sort {
        match term {
            Term::Literal(Value::Integer(_) | Value::Number(_)) => Sort::Number,
            Term::Literal(Value::Bool(_)) => Sort::Boolean,
            Term::Literal(_) | Term::Text(_) => Sort::Text,
            Term::Parameter(name) => match self.0.get(name).map(|parameter| &parameter.ty) {
                Some(ParameterType::Integer { .. } | ParameterType::Number) => Sort::Number,
                Some(ParameterType::Boolean) => Sort::Boolean,
                _ => Sort::Text,
            },
        }
    }

    fn known(&self, name: &str) -> Result<&Parameter, Slip> {
        self.0.get(name).ok_or_else(|| {
            let names: Vec<&str> = self.0.keys().map(|name| &**name).collect();
            Slip {
                message: format!("the intent has no parameter `{}`", shown(name)),
                help: Some(match closest(name, names.iter().copied()) {
                    Some(meant) => format!("did you mean `${{{meant}}}`?"),
                    None if names.is_empty() => "list it under `parameters`".into(),
                    None => format!("known are {}", listed(&names)),
                }),
            }
        })
    }
}

fn not_within_text(name: &str, ty: &ParameterType) -> Slip {
    Slip {
        message: format!(
            "parameter `{name}` of type `{}` cannot stand within a text: it could change what \
             the text means",
            ty.as_str()
        ),
        help: Some("only an `identifier` or `integer` can; or let it stand alone".into()),
    }
}

/// The pieces of a text; two literals never follow each other.
fn pieces(text: &str) -> Result<Vec<Piece>, Slip> {
    let mut pieces = Vec::new();
    let mut literal = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        literal.push_str(before);
        if let Some(after) = after.strip_prefix('$') {
            literal.push('$');
            rest = after;
        } else if let Some((name, after)) = after.strip_prefix('{').and_then(|a| a.split_once('}'))
        {
            if !literal.is_empty() {
                pieces.push(Piece::Literal(std::mem::take(&mut literal).into()));
            }
            pieces.push(Piece::Parameter(name.into()));
            rest = after;
        } else {
            return Err(Slip {
                message: "this `$` begins no `${name}`".into(),
                help: Some("write `$$` for a dollar sign".into()),
            });
        }
    }
    literal.push_str(rest);
    if !literal.is_empty() {
        pieces.push(Piece::Literal(literal.into()));
    }
    Ok(pieces)
}

/// A term as it is written: the inverse of [`Parameters::term`].
pub(super) fn written(term: &Term) -> Value {
    let escaped = |text: &str| text.replace('$', "$$");
    let parameter = |name: &str| format!("${{{name}}}");
    match term {
        Term::Literal(Value::String(text)) => escaped(text).into(),
        Term::Literal(value) => value.clone(),
        Term::Parameter(name) => parameter(name).into(),
        Term::Text(pieces) => pieces
            .iter()
            .map(|piece| match piece {
                Piece::Literal(text) => escaped(text),
                Piece::Parameter(name) => parameter(name),
            })
            .collect::<String>()
            .into(),
    }
}
