package acl

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"slices"
	"strings"
	"sync/atomic"
)

// User is somebody who may log in. Sessions keep the User they have logged in as, and
// what the user may do changes under them. Its methods are safe for concurrent use.
type User struct {
	name   string
	rights atomic.Pointer[rights] // replaced as a whole
}

// rights is what a user may do. It is not modified once it is in force.
type rights struct {
	on, noPass bool
	sanitize   string      // the last word about it, which is only shown: payloads are always sanitized
	passwords  []string    // SHA-256 in hexadecimal digits
	selectors  []*selector // the first one is that of the user itself
}

func newRights(c *catalog) *rights {
	root := newSelector(c)
	root.root = true
	return &rights{sanitize: "sanitize-payload", selectors: []*selector{root}}
}

func (r *rights) clone() *rights {
	n := *r
	n.passwords = slices.Clone(r.passwords)
	n.selectors = make([]*selector, len(r.selectors))
	for i, s := range r.selectors {
		n.selectors[i] = s.clone()
	}
	return &n
}

func (r *rights) root() *selector { return r.selectors[0] }

// with returns the rights that rules make of r. channels says what "reset" leaves of
// channels.
func (r *rights) with(rules []string, channels string) (*rights, error) {
	rules, err := mergeSelectors(rules)
	if err != nil {
		return nil, err
	}
	n := r.clone()
	for _, rule := range rules {
		if err := n.apply(rule, channels); err != nil {
			return nil, &RuleError{rule, err}
		}
	}
	return n, nil
}

func (r *rights) apply(rule, channels string) error {
	switch strings.ToLower(rule) {
	case "":
	case "on":
		r.on = true
	case "off":
		r.on = false
	case "skip-sanitize-payload", "sanitize-payload":
		r.sanitize = strings.ToLower(rule)
	case "nopass":
		r.noPass, r.passwords = true, nil
	case "resetpass":
		r.noPass, r.passwords = false, nil
	case "clearselectors":
		r.selectors = r.selectors[:1]
	case "reset":
		*r = *newRights(r.root().catalog)
		return r.root().apply(channels)
	default:
		return r.applyPrefixed(rule)
	}
	return nil
}

func (r *rights) applyPrefixed(rule string) error {
	switch rule[0] {
	case '>', '#', '<', '!':
		return r.applyPassword(rule[0], rule[1:])
	case '(':
		if !strings.HasSuffix(rule, ")") {
			break
		}
		s := newSelector(r.root().catalog)
		for _, word := range strings.Fields(rule[1 : len(rule)-1]) {
			if err := s.apply(word); err != nil {
				return err
			}
		}
		r.selectors = append(r.selectors, s)
		return nil
	}
	return r.root().apply(rule)
}

// applyPassword adds a password or a hash, or takes it away.
func (r *rights) applyPassword(kind byte, text string) error {
	if kind == '>' || kind == '<' {
		text = Hash(text)
	} else if !isHash(text) {
		return errHash
	}
	at := slices.Index(r.passwords, text)
	switch {
	case kind == '>' || kind == '#':
		if at < 0 {
			r.passwords = append(r.passwords, text)
		}
		r.noPass = false
	case at < 0:
		return errNoPassword
	default:
		r.passwords = slices.Delete(r.passwords, at, at+1)
	}
	return nil
}

// Hash returns what is kept of a password.
func Hash(password string) string {
	sum := sha256.Sum256([]byte(password))
	return hex.EncodeToString(sum[:])
}

func isHash(text string) bool {
	return len(text) == 2*sha256.Size && strings.Trim(text, "0123456789abcdef") == ""
}

// mergeSelectors joins the words of selectors that have come apart at their spaces.
func mergeSelectors(rules []string) ([]string, error) {
	var out []string
	for i := 0; i < len(rules); i++ {
		rule := rules[i]
		if strings.HasPrefix(rule, "(") && !strings.HasSuffix(rule, ")") {
			begin := rule
			for i++; ; i++ {
				if i == len(rules) {
					return nil, &UnmatchedError{begin}
				}
				rule += " " + rules[i]
				if strings.HasSuffix(rule, ")") {
					break
				}
			}
		}
		out = append(out, rule)
	}
	return out, nil
}

// Name returns the user's name.
func (u *User) Name() string { return u.name }

// NeedsNoPassword reports whether any password logs the user in.
func (u *User) NeedsNoPassword() bool { return u.rights.Load().noPass }

// Enabled reports whether the user may log in.
func (u *User) Enabled() bool { return u.rights.Load().on }

// Accepts reports whether the user can log in with a password. It takes the same time for
// every wrong one.
func (u *User) Accepts(password string) bool {
	r := u.rights.Load()
	hash := []byte(Hash(password))
	match := 0
	for _, p := range r.passwords {
		match |= subtle.ConstantTimeCompare(hash, []byte(p))
	}
	return r.on && (r.noPass || match == 1)
}

// Flags returns the words of ACL GETUSER that are no selector and no password.
func (u *User) Flags() []string { return u.rights.Load().flags() }

func (r *rights) flags() []string {
	words := []string{"off"}
	if r.on {
		words[0] = "on"
	}
	if r.noPass {
		words = append(words, "nopass")
	}
	return append(words, r.sanitize)
}

// Passwords returns the hashes of the user's passwords.
func (u *User) Passwords() []string { return u.rights.Load().passwords }

// Selectors returns the user's selectors in words, its own first.
func (u *User) Selectors() []Selector {
	var out []Selector
	for _, s := range u.rights.Load().selectors {
		out = append(out, s.words())
	}
	return out
}

// Rules returns rules that make the user anew, as ACL LIST shows them.
func (u *User) Rules() string {
	r := u.rights.Load()
	words := r.flags()
	for _, p := range r.passwords {
		words = append(words, "#"+p)
	}
	for i, s := range r.selectors {
		if i == 0 {
			words = append(words, s.describe())
		} else {
			words = append(words, "("+s.describe()+")")
		}
	}
	return strings.Join(words, " ")
}
