#!/bin/bash
# mypy 2.4.1 with typing_extensions 4.15.0.
#
# One would guess: a type variable whose default is a union with an earlier one (`default=int | R`) can stand wherever type
# variables can. The typing specification allows such defaults, and mypy fills them in where a class is given fewer parameters.
# Instead: a function with the variable in its signature is an error about R in a line that never names R: "Type variable is
# unbound" or, where the function's module has not imported R, "Name R is not defined". With `default=list[R]` there is none, and
# none for the class alone. A second variable without a default serves the functions.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet "mypy==2.4.1" "typing_extensions==4.15.0"
cd "$folder"
checked() {
    cat >box.py <<PYTHON
from typing import Generic

from typing_extensions import TypeVar

R = TypeVar("R")
Item = TypeVar("Item", covariant=True, default=$1)
Plain = TypeVar("Plain")


class Box(Generic[R, Item]): ...


def opened_by_default() -> Box[str]:
    raise NotImplementedError
PYTHON
    cat >user.py <<PYTHON
from box import Box, $2


def opened(box: Box[str, $2]) -> $2:
    raise NotImplementedError
PYTHON
    venv/bin/mypy --no-error-summary user.py || true
}
union=$(checked "int | R" Item)
list=$(checked "list[R]" Item)
plain=$(checked "int | R" Plain)
echo "default=int | R, in a function: $union"
echo "default=list[R], in a function: ${list:-no error}"
echo "default=int | R, for the class alone: ${plain:-no error}"
[[ $union == *'"R"'* && -z $list && -z $plain ]]
