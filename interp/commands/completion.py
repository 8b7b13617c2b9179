"""`interp completion`, and what its scripts ask for."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from interp.asking.options import Flag
from interp.terminal.console import say

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cyclopts import App

WORDS = "complete-words"
"""The first argument by which the scripts ask for candidates."""

MARK = "# Completion for interp"

SCRIPTS = {
    "bash": MARK + """, made by `interp completion bash`.
_interp_complete() {
    local one
    COMPREPLY=()
    while IFS= read -r one; do
        COMPREPLY+=("$one")
    done < <("$1" complete-words bash "${COMP_LINE:0:COMP_POINT}" "$COMP_WORDBREAKS" 2>/dev/null)
    if [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == */ ]]; then
        compopt -o nospace
    fi
}
complete -o default -F _interp_complete interp
""",
    "zsh": "#compdef interp\n" + MARK + """, made by `interp completion zsh`.
_interp() {
    local -a found
    found=("${(@f)$("${words[1]}" complete-words plain "${(@Q)words[2,CURRENT]}" 2>/dev/null)}")
    if [[ -n "${found[1]}" ]]; then
        compadd -S '' -- ${(M)found:#*/}
        compadd -- ${found:#*/}
    else
        _files
    fi
}
if [[ "${funcstack[1]}" == _interp ]]; then
    _interp "$@"
else
    compdef _interp interp
fi
""",
    "fish": MARK + """, made by `interp completion fish`.
function __interp_complete
    set -l words (commandline -opc)
    set -l current (commandline -ct)
    set -l found ($words[1] complete-words plain $words[2..-1] "$current" 2>/dev/null)
    if test (count $found) -gt 0
        printf '%s\\n' $found
    else
        __fish_complete_path "$current"
    end
end
complete -c interp -f -a '(__interp_complete)'
""",
}  # fmt: skip


def completion(shell: Literal["bash", "zsh", "fish"], /, *, install: Annotated[bool, Flag] = False) -> None:
    """Let a shell complete commands, options, their values and names of runs: print the script for it, or install it.

    Two examples:

    - `interp completion bash --install`
    - `interp completion zsh`

    Args:
        shell: The shell.
        install: Write the script to where the shell looks for it, and say what else has to be done.
    """
    if not install:
        print(SCRIPTS[shell], end="")
        return
    path, then = _place(shell)
    _write(path, SCRIPTS[shell])
    say(f"written: {path}")
    say(then)


def complete_words(app: "App", arguments: "Sequence[str]") -> int:
    """Prints candidates, one a line: after `bash`, for a line and its word breaks; after `plain`, for words."""
    from interp.completion.completing import candidates
    from interp.completion.shell_words import replacements, words_of

    kind, *given = arguments or [""]
    if kind == "bash" and len(given) == 2:
        words, raw = words_of(given[0])
        found = replacements(candidates(app, words[1:]), raw, given[1])
    else:
        found = candidates(app, given)
    print("".join(f"{one}\n" for one in found), end="")
    return 0


def _place(shell: str) -> tuple[Path, str]:
    """Where a shell looks for the script, and what else has to be done."""
    home = Path.home()
    data = Path(os.environ.get("XDG_DATA_HOME") or home / ".local" / "share")
    config = Path(os.environ.get("XDG_CONFIG_HOME") or home / ".config")
    if shell == "bash":
        path = data / "bash-completion" / "completions" / "interp"
        elsewhere = f"elsewhere add to ~/.bashrc: source '{path}'"
        return path, f"new shells read it where bash-completion is installed; {elsewhere}"
    if shell == "fish":
        return config / "fish" / "completions" / "interp.fish", "new shells read it"
    path = home / ".zfunc" / "_interp"
    return path, "once, add to ~/.zshrc: fpath=(~/.zfunc $fpath); autoload -Uz compinit; compinit"


def _write(path: Path, text: str) -> None:
    """Writes a script whole, in the place of an older one, and of nothing else.

    Raises:
        InvalidValueError: There is a file of someone else.
    """
    if path.exists() and MARK not in path.read_text(encoding="utf-8", errors="replace"):
        from tasks import InvalidValueError

        raise InvalidValueError(f"{str(path)!r} is not a script of ours; move it away, then install again")
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    part.write_text(text, encoding="utf-8")
    part.replace(path)
