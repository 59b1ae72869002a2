//! `xpath(xml, path)`: values out of a record's XML.

use std::cell::RefCell;

use crate::error::Result;
use crate::function::call::Call;
use crate::function::declaration::{Accepts, Family, Function, Kernel, Parameter, Returns, kernel};
use crate::function::polymorphic::gather;

use super::xml_path::Paths;
use super::xml_steps::walk;
use super::xml_tree::Tree;

pub(crate) static FUNCTION: Function = Function {
    name: "xpath",
    family: Family::Records,
    summary: "The text of everything the path leads to, in the order of the record. A path begins at the root element (`titleInfo/title`), or \
              above it after `/`; `//` looks at any depth. Steps: a name, `*`, `@name`, `text()`, `.`, `..`; predicates: `[2]`, `[last()]`, \
              `[name]`, `[@a='v']`, `[contains(name, 'v')]`, with `and`, `or`, `not()`. A name without a prefix is found in any \
              namespace; a prefix tells names apart in records that use it. Of broken XML, what stands before the break is found.",
    parameters: &[
        Parameter::required("xml", Accepts::Text, "a record's XML"),
        Parameter::required("path", Accepts::ConstantText, "a path, such as `subject[@authority='lcsh']/topic`"),
    ],
    returns: Returns::List,
    bind: xpath,
    examples: &[
        ("xpath('<r><title>Mills</title><title lang=\"fr\">Moulins</title></r>', 'title')", "[Mills, Moulins]"),
        ("xpath('<r><name><part>Ada</part><role>creator</role></name></r>', 'name[role=\"creator\"]/part')", "[Ada]"),
        ("xpath('<r><a id=\"7\"/></r>', '//@id')", "[7]"),
        ("xpath('<r/>', 'title')", "[]"),
    ],
    see_also: &["marc"],
};

thread_local! {
    /// Trees are as large as the largest record of a thread and are used again.
    static TREE: RefCell<Tree> = RefCell::default();
}

fn xpath(call: &Call<'_>) -> Result<Kernel> {
    let paths = Paths::parse(call.required_text(1)?)?;
    kernel(move |arguments| {
        TREE.with_borrow_mut(|tree| {
            gather(&arguments[0], |xml, out| {
                tree.read(xml);
                walk(tree, &paths, |text| out.push(text));
            })
        })
    })
}
