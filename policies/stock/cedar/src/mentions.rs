//! What the policies read of a request: nothing else of it is put into Cedar's terms.

use cedar_policy_core::ast::{BinaryOp, Expr, ExprKind, Var};
use smol_str::SmolStr;

/// The records among what a policy sees. Where one is used whole, all of it is there.
const RECORDS: [&str; 2] = ["attestation", "time"];

/// The attributes and the kinds of things that are mentioned.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Mentions {
    /// Names of attributes, each once, whatever they are attributes of.
    pub(crate) attributes: Vec<SmolStr>,
    /// `hasTag` or `getTag`.
    pub(crate) tags: bool,
    /// A record is compared, or taken whole in another way.
    pub(crate) whole: bool,
}

impl Mentions {
    pub(crate) fn attribute(&self, name: &str) -> bool {
        self.whole || self.attributes.iter().any(|mentioned| mentioned == name)
    }

    /// Adds what is mentioned in an expression.
    pub(crate) fn add(&mut self, expression: &Expr) {
        self.visit(expression, false);
    }

    /// `accessed`: only an attribute of the expression is used.
    fn visit(&mut self, expression: &Expr, accessed: bool) {
        match expression.expr_kind() {
            ExprKind::Var(Var::Context) => self.whole |= !accessed,
            ExprKind::GetAttr { expr, attr } => {
                self.whole |= !accessed && RECORDS.contains(&attr.as_str());
                self.name(attr);
                self.visit(expr, true);
            }
            ExprKind::HasAttr { expr, attr } => {
                self.name(attr);
                self.visit(expr, true);
            }
            ExprKind::ExtHasAttr { expr, attrs } => {
                attrs.iter().for_each(|attr| self.name(attr));
                self.visit(expr, true);
            }
            kind => {
                self.tags |= matches!(
                    kind,
                    ExprKind::BinaryApp { op: BinaryOp::GetTag | BinaryOp::HasTag, .. }
                );
                self.operands(kind);
            }
        }
    }

    fn operands(&mut self, kind: &ExprKind) {
        match kind {
            ExprKind::If { test_expr, then_expr, else_expr } => {
                for operand in [test_expr, then_expr, else_expr] {
                    self.visit(operand, false);
                }
            }
            ExprKind::And { left, right }
            | ExprKind::Or { left, right }
            | ExprKind::BinaryApp { arg1: left, arg2: right, .. } => {
                self.visit(left, false);
                self.visit(right, false);
            }
            ExprKind::UnaryApp { arg, .. } => self.visit(arg, false),
            ExprKind::Like { expr, .. } | ExprKind::Is { expr, .. } => self.visit(expr, false),
            ExprKind::Set(elements) => {
                elements.iter().for_each(|element| self.visit(element, false));
            }
            ExprKind::Record(members) => {
                members.values().for_each(|member| self.visit(member, false));
            }
            // The others are arms of `visit`, have no operands, or are refused.
            _ => {}
        }
    }

    fn name(&mut self, attribute: &SmolStr) {
        if !self.attributes.contains(attribute) {
            self.attributes.push(attribute.clone());
        }
    }
}
