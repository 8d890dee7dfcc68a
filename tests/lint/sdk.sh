#!/bin/bash
# The SDKs in Python and JavaScript parse, and need nothing but their standard libraries. Those in C compile as their
# README says: with no flag of ours.
. "$(dirname "$0")/lib.sh"

report < <(find workers tests/tools -name '*.py' | sort | xargs -r python3 -c '
import ast, sys
own = {"futured_worker"}
for path in sys.argv[1:]:
    try:
        tree = ast.parse(open(path, encoding="utf-8").read(), path, feature_version=(3, 8))
    except SyntaxError as error:
        print(f"{path}:{error.lineno}: {error.msg}")
        continue
    for node in ast.walk(tree):
        names = [a.name for a in node.names] if isinstance(node, ast.Import) else \
            [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        for name in names:
            if name.split(".")[0] not in own | sys.stdlib_module_names:
                print(f"{path}:{node.lineno}: {name} is not of the standard library")
' 2>&1)
report < <(find workers -name '*.js' | sort | while read -r file; do
    if command -v node >/dev/null; then
        node --check "$file" 2>&1 | sed "s|^|$file: |"
    fi
    grep -nE "require\(|^import " "$file" | grep -vE "require\('(node:|\.)" |
        sed "s|^|$file:|; s|\$|   <- not of the standard library|"
done)
report < <(for file in workers/sdk/*.c; do cc -Wall -Wextra -Werror -fsyntax-only "$file" 2>&1 | grep -E "error" | head -3; done)
finish
