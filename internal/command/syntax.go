package command

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
)

// emptyToken is how the syntax writes a token of no characters.
const emptyToken = `""`

// Argument is an argument of a command, or a group of them, as COMMAND DOCS describes it.
type Argument struct {
	Name       string
	Kind       ArgumentKind
	Shown      string // instead of Name, in help texts; empty: Name
	Token      string // the word that stands before it, or that it is
	Since      string // version of Redis that added it; empty: it came with the command
	Deprecated string // version of Redis that advised against it; empty: none has

	Optional      bool
	Multiple      bool // may be repeated
	MultipleToken bool // together with Token

	Args []Argument // of a block or a choice, at least two
}

// ArgumentKind is what an argument is. Its values are those of COMMAND DOCS.
type ArgumentKind string

// The kinds of arguments.
const (
	ArgString   ArgumentKind = "string"
	ArgInteger  ArgumentKind = "integer"
	ArgDouble   ArgumentKind = "double"
	ArgKey      ArgumentKind = "key"
	ArgPattern  ArgumentKind = "pattern"
	ArgUnixTime ArgumentKind = "unix-time"
	ArgToken    ArgumentKind = "pure-token" // a word that is there or not
	ArgOneOf    ArgumentKind = "oneof"
	ArgBlock    ArgumentKind = "block" // some that stand behind each other
)

// argumentKinds are the kinds of values by their names. A name that is not here is a string's.
var argumentKinds = map[string]ArgumentKind{}

func init() {
	for kind, names := range map[ArgumentKind]string{
		ArgInteger: `bit bits client-id cluster-bus-port config-epoch count cursor db decrement destination-db end end-slot entries-added entries-read
			entriesread frequency increment index len limit milliseconds min-match-len ms num-matches numfields numkeys numlocal
			numreplicas offset port protover rank seconds slot start start-slot stop ttl version weight`,
		ArgDouble:   `height latitude longitude max min radius score timeout width`,
		ArgKey:      `destination destkey dst key key1 key2 keys newkey source sourcekey src storedistkey storekey`,
		ArgPattern:  `by-pattern get-pattern pattern`,
		ArgUnixTime: `unix-time-milliseconds unix-time-seconds`,
	} {
		for name := range strings.FieldsSeq(names) {
			argumentKinds[name] = kind
		}
	}
}

// ParseSyntax reads the syntax of a command, the text in its row:
//
//	seconds               a value; argumentKinds has the kind that goes with its name
//	timeout:integer       a value of another kind
//	addr=ip:port          a value that help texts show as ip:port
//	KEEPTTL               a token: capitals or signs, which clients send as they are
//	change=CH             a token with another name than its own in small letters
//	EX seconds            a value behind a token
//	data(score member)    a block
//	unit(BYTE | BIT)      a choice
//	LIMIT (offset count)  either of them behind a token, the name of which it takes
//	[x]                   what may be left out
//	x...  [x...]          what may be repeated
//	[GET x]...            the same, together with its token
//	x@6.2.0  x!2.8.12     the version of Redis that added it, or advised against it, behind all else
func ParseSyntax(text string) ([]Argument, error) {
	p := syntaxParser{rest: text}
	args, choice, err := p.list()
	switch {
	case err != nil:
	case p.rest != "":
		err = fmt.Errorf("%q closes nothing", p.rest[:1])
	case choice:
		err = fmt.Errorf("a choice needs a name")
	}
	if err != nil {
		return nil, fmt.Errorf("syntax %q: %w", text, err)
	}
	return args, nil
}

type syntaxParser struct{ rest string }

// take reports whether s comes next, and if so goes on behind it.
func (p *syntaxParser) take(s string) bool {
	rest, ok := strings.CutPrefix(p.rest, s)
	p.rest = rest
	return ok
}

func (p *syntaxParser) spaces() { p.rest = strings.TrimLeft(p.rest, " ") }

// list reads items up to the end or a closing bracket, and reports whether bars separate them.
func (p *syntaxParser) list() (items []Argument, choice bool, err error) {
	bars := 0
	for p.spaces(); p.rest != "" && !strings.ContainsAny(p.rest[:1], ")]"); p.spaces() {
		if p.take("|") {
			if bars++; bars != len(items) {
				return nil, false, fmt.Errorf("a bar does not stand between two arguments")
			}
			p.spaces()
		}
		item, err := p.item()
		if err != nil {
			return nil, false, err
		}
		if item.Name == "" {
			return nil, false, fmt.Errorf("a group has no name")
		}
		items = append(items, item)
	}
	if bars > 0 && bars != len(items)-1 {
		return nil, false, fmt.Errorf("bars do not stand between all arguments")
	}
	return items, bars > 0, nil
}

// item reads one argument with what stands behind it.
func (p *syntaxParser) item() (arg Argument, err error) {
	if p.take("[") {
		arg, err = p.optional()
	} else {
		arg, err = p.plain()
	}
	if err != nil {
		return arg, err
	}
	if p.take("...") {
		if arg.Multiple || arg.Optional && (arg.Token == "" || arg.Kind == ArgToken) {
			return arg, fmt.Errorf("%q is repeated outside its brackets, or twice", arg.Name)
		}
		arg.Multiple, arg.MultipleToken = true, arg.Optional
	}
	for _, mark := range []struct {
		sign    string
		version *string
	}{{"@", &arg.Since}, {"!", &arg.Deprecated}} {
		if p.take(mark.sign) {
			if *mark.version = p.until(" |()[]!@"); !isVersion(*mark.version) || arg.Optional {
				return arg, fmt.Errorf("the version of %q is none, or outside its brackets", arg.Name)
			}
		}
	}
	if p.rest != "" && !strings.ContainsAny(p.rest[:1], " |)]") {
		return arg, fmt.Errorf("%q is followed by %q", arg.Name, p.rest[:1])
	}
	return arg, nil
}

// optional reads the rest of an argument in square brackets.
func (p *syntaxParser) optional() (Argument, error) {
	p.spaces()
	arg, err := p.item()
	if err != nil {
		return arg, err
	}
	p.spaces()
	if !p.take("]") || arg.Optional {
		return arg, fmt.Errorf("brackets are not around one argument: %q", arg.Name)
	}
	arg.Optional = true
	return arg, nil
}

// plain reads a token, a value or a group, the last two with the token before them.
func (p *syntaxParser) plain() (Argument, error) {
	word := p.word()
	if strings.HasPrefix(p.rest, "(") {
		return p.group(word)
	}
	if name, token := tokenIn(word); token != "" {
		return p.behind(Argument{Name: name, Kind: ArgToken, Token: token})
	}
	name, shown, _ := strings.Cut(word, "=")
	name, kind, given := strings.Cut(name, ":")
	if !given {
		kind = string(cmp.Or(argumentKinds[name], ArgString))
	}
	if name == "" || strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
		return Argument{}, fmt.Errorf("%q, before %q, is no name", name, p.rest)
	}
	switch k := ArgumentKind(kind); k {
	case ArgString, ArgInteger, ArgDouble, ArgKey, ArgPattern, ArgUnixTime:
		return Argument{Name: name, Kind: k, Shown: shown}, nil
	}
	return Argument{}, fmt.Errorf("%q is of no kind", word)
}

// behind reads the value or the group behind a token, if there is one.
func (p *syntaxParser) behind(token Argument) (Argument, error) {
	next := syntaxParser{strings.TrimLeft(p.rest, " ")}
	if next.rest == p.rest || next.rest == "" || strings.ContainsAny(next.rest[:1], "|)][") {
		return token, nil
	}
	ahead := next
	if _, other := tokenIn(ahead.word()); other != "" && !strings.HasPrefix(ahead.rest, "(") {
		return token, nil // two in a row
	}
	arg, err := next.plain()
	if err != nil {
		return token, err
	}
	arg.Name, arg.Token, p.rest = cmp.Or(arg.Name, token.Name), token.Token, next.rest
	return arg, nil
}

// word reads up to a bracket, a bar, a space, dots or a version.
func (p *syntaxParser) word() string {
	word, dots := strings.CutSuffix(p.until(" |()[]@!"), "...")
	if dots {
		p.rest = "..." + p.rest
	}
	return word
}

// tokenIn returns the token that a word is, and its name; both are empty if it is none.
func tokenIn(word string) (name, token string) {
	if isToken(word) {
		return strings.ToLower(word), word
	}
	if name, shown, _ := strings.Cut(word, "="); isToken(shown) && name != "" {
		return name, shown
	}
	return "", ""
}

// group reads a block or a choice.
func (p *syntaxParser) group(name string) (Argument, error) {
	p.take("(")
	args, choice, err := p.list()
	switch {
	case err != nil:
		return Argument{}, err
	case !p.take(")"):
		return Argument{}, fmt.Errorf("a group is not closed")
	case len(args) < 2:
		return Argument{}, fmt.Errorf("a group has less than two arguments")
	case choice:
		return Argument{Name: name, Kind: ArgOneOf, Args: args}, nil
	}
	return Argument{Name: name, Kind: ArgBlock, Args: args}, nil
}

// until reads up to any of the signs.
func (p *syntaxParser) until(signs string) string {
	n := strings.IndexAny(p.rest, signs)
	if n < 0 {
		n = len(p.rest)
	}
	word := p.rest[:n]
	p.rest = p.rest[n:]
	return word
}

// isVersion reports whether the word is three numbers with dots between them.
func isVersion(word string) bool {
	parts := strings.Split(word, ".")
	for _, part := range parts {
		if _, err := strconv.ParseUint(part, 10, 16); err != nil {
			return false
		}
	}
	return len(parts) == 3
}

// isToken reports whether clients send the word as it is.
func isToken(word string) bool { return word != "" && word == strings.ToUpper(word) }
