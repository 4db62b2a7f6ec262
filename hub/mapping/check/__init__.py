"""Static checks: what an expression gives for records of a schema, and what is wrong with it before it ever runs.

```python
scope = Scope({"invoice": canonical("invoice"), "settings": OBJECT})     # names and their types
checked = check_expression("invoice.totl", position, scope)              # -> Checked(type, problems)
scope.with_name("total", checked.type)                                   # what `as:` and `let:` bring in
scope.where("invoice.total_tax != null")                                 # inside a `when:`; `holds=False`: after it
Scope(names, fields_of="record")                                         # any other name is a field of `record`
check_mapping(document, source_type, target_type, names)                 # -> [Problem]
```

`any` is what is not known: nothing is said about it. Problems have the file, line and column of the sub-expression that is
wrong. These checks are for `hub lint`: a mapping that has such problems still loads and runs.

| rule | what is wrong |
| --- | --- |
| `unknown-field` | a field that a described record does not have, where it is read or made |
| `missing-field` | a field that the target has to have is not made |
| `type-mismatch` | an operation, an argument or a target field that cannot take this type; a comparison that never holds |
| `unknown-choice` | a text that is none of those that a field can be, compared with it or put into it |
| `float-money` | an amount worked on as a plain number that ends as money, or is rounded by hand |
| `missing-currency` | money without a currency, or amounts of two currencies together |
| `constant-condition` | a condition that holds always, or never |
"""

from hub.mapping.check.expression import Checked, check_expression
from hub.mapping.check.mapping import check_mapping
from hub.mapping.check.scope import Scope

__all__ = ["Checked", "Scope", "check_expression", "check_mapping"]
