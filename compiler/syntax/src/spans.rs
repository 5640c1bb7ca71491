//! Visits every span of a tree.

use netc_diagnostics::Span;

use crate::ast::{Argument, Body, Expr, ExprKind, Field, File, Item, Name, Parameter, Stage, StageKind, Statement};

type Visit<'a> = &'a mut dyn FnMut(&mut Span);

/// Calls `visit` on every span in `file`.
pub(crate) fn each_span(file: &mut File, visit: Visit<'_>) {
    for item in &mut file.items {
        match item {
            Item::Use(it) => {
                visit(&mut it.path_span);
                visit(&mut it.span);
            }
            Item::Const(it) => {
                name(&mut it.name, visit);
                expr(&mut it.value, visit);
                visit(&mut it.span);
            }
            Item::Block(it) => {
                name(&mut it.name, visit);
                it.parameters.iter_mut().for_each(|each| parameter(each, visit));
                body(&mut it.body, visit);
                visit(&mut it.span);
            }
            Item::Net(it) => {
                name(&mut it.name, visit);
                it.parameters.iter_mut().for_each(|each| parameter(each, visit));
                body(&mut it.body, visit);
                visit(&mut it.span);
            }
            Item::Section(it) => {
                visit(&mut it.kind_span);
                name(&mut it.net, visit);
                it.fields.iter_mut().for_each(|each| field(each, visit));
                visit(&mut it.span);
            }
        }
    }
}

fn name(name: &mut Name, visit: Visit<'_>) {
    visit(&mut name.span);
}

fn parameter(parameter: &mut Parameter, visit: Visit<'_>) {
    name(&mut parameter.name, visit);
    parameter.default.iter_mut().for_each(|value| expr(value, visit));
    visit(&mut parameter.span);
}

fn field(field: &mut Field, visit: Visit<'_>) {
    name(&mut field.name, visit);
    expr(&mut field.value, visit);
    visit(&mut field.span);
}

fn body(body: &mut Body, visit: Visit<'_>) {
    body.statements.iter_mut().for_each(|each| statement(each, visit));
    visit(&mut body.span);
}

fn statement(statement: &mut Statement, visit: Visit<'_>) {
    match statement {
        Statement::Input(it) => {
            name(&mut it.name, visit);
            name(&mut it.dtype, visit);
            it.dimensions.iter_mut().for_each(|each| expr(each, visit));
            visit(&mut it.span);
        }
        Statement::Let(it) => {
            name(&mut it.name, visit);
            expr(&mut it.value, visit);
            visit(&mut it.span);
        }
        Statement::Pipeline(it) => expr(it, visit),
        Statement::Expect(it) => {
            it.entries.iter_mut().for_each(|each| field(each, visit));
            visit(&mut it.span);
        }
    }
}

fn argument(argument: &mut Argument, visit: Visit<'_>) {
    argument.name.iter_mut().for_each(|it| name(it, visit));
    expr(&mut argument.value, visit);
    visit(&mut argument.span);
}

fn expr(expr_: &mut Expr, visit: Visit<'_>) {
    match &mut expr_.kind {
        ExprKind::Integer(_) | ExprKind::Float(_) | ExprKind::Text(_) | ExprKind::Name(_) | ExprKind::In => {}
        ExprKind::Call(it) => {
            name(&mut it.name, visit);
            it.arguments.iter_mut().for_each(|each| argument(each, visit));
        }
        ExprKind::List(items) => items.iter_mut().for_each(|each| expr(each, visit)),
        ExprKind::Negate(inner) => expr(inner, visit),
        ExprKind::Binary(it) => {
            visit(&mut it.operator_span);
            expr(&mut it.left, visit);
            expr(&mut it.right, visit);
        }
        ExprKind::Pipeline(it) => {
            expr(&mut it.head, visit);
            it.stages.iter_mut().for_each(|each| stage(each, visit));
        }
    }
    visit(&mut expr_.span);
}

fn stage(stage: &mut Stage, visit: Visit<'_>) {
    match &mut stage.kind {
        StageKind::Layer(it) => {
            name(&mut it.name, visit);
            it.arguments.iter_mut().for_each(|each| argument(each, visit));
            it.label.iter_mut().for_each(|each| name(each, visit));
        }
        StageKind::Repeat(it) => {
            expr(&mut it.count, visit);
            it.index.iter_mut().for_each(|each| name(each, visit));
            body(&mut it.body, visit);
        }
        StageKind::Output(it) => name(it, visit),
    }
    visit(&mut stage.span);
}
