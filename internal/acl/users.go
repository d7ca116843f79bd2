package acl

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/elastickv/elastickv/internal/command"
)

// Default is the name of the user that connections are logged in as at first, and that cannot be removed.
const Default = "default"

// Users is every user of a server. Its methods are safe for concurrent use.
type Users struct {
	catalog *catalog

	mu     sync.Mutex
	byName map[string]*User
	// channels is the rule that new users begin with: allchannels or resetchannels.
	channels string
}

// New returns Users with the default user, who may do everything without a password.
func New(t *command.Table) *Users {
	u := &Users{catalog: newCatalog(t), byName: make(map[string]*User), channels: "resetchannels"}
	d := &User{name: Default}
	d.rights.Store(u.defaults())
	u.byName[Default] = d
	return u
}

// defaults returns what the default user may do at first.
func (u *Users) defaults() *rights {
	r, err := newRights(u.catalog).with([]string{"+@all", "~*", "&*", "on", "nopass"}, u.channels)
	if err != nil {
		panic(err) // these rules are right
	}
	return r
}

// SetNewChannels says whether users begin with every channel.
func (u *Users) SetNewChannels(all bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.channels = "resetchannels"
	if all {
		u.channels = "allchannels"
	}
}

// Get returns a user; nil if there is none of that name.
func (u *Users) Get(name string) *User {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.byName[name]
}

// All returns every user in order of names.
func (u *Users) All() []*User {
	u.mu.Lock()
	defer u.mu.Unlock()
	out := make([]*User, 0, len(u.byName))
	for _, name := range slices.Sorted(maps.Keys(u.byName)) {
		out = append(out, u.byName[name])
	}
	return out
}

// Set carries out rules on a user, all or none of them, and makes the user if there is none of that name.
func (u *Users) Set(name string, rules ...string) error {
	if name == "" || !printable(name) {
		return ErrName
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	user, known := u.byName[name]
	if !known {
		user = &User{name: name}
		user.rights.Store(u.fresh())
	}
	r, err := user.rights.Load().with(rules, u.channels)
	if err != nil {
		return err
	}
	user.rights.Store(r)
	u.byName[name] = user
	return nil
}

// fresh returns what a new user may do.
func (u *Users) fresh() *rights {
	r := newRights(u.catalog)
	if err := r.root().apply(u.channels); err != nil {
		panic(err) // it is one of two words
	}
	return r
}

// SetPassword makes password the only one of the default user; none if it is empty.
func (u *Users) SetPassword(password string) error {
	if password == "" {
		return u.Set(Default, "nopass")
	}
	return u.Set(Default, "resetpass", ">"+password)
}

// Delete removes a user and returns it; nil if there is none of that name.
func (u *Users) Delete(name string) *User {
	u.mu.Lock()
	defer u.mu.Unlock()
	user := u.byName[name]
	delete(u.byName, name)
	return user
}

// Lines returns the users as lines of a file that Load reads.
func (u *Users) Lines() []string {
	var out []string
	for _, user := range u.All() {
		out = append(out, "user "+user.name+" "+user.Rules())
	}
	return out
}

// Load replaces all users, the default one only if it is named, by those of a file's lines,
// each of which is empty or "user", a name and rules. If any is wrong nothing changes, and the error tells of all of
// them. It returns the users that are gone; those that stay keep their sessions.
func (u *Users) Load(file, text string) (gone []*User, err error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	next := make(map[string]*rights)
	var wrong strings.Builder
	for i, line := range strings.Split(text, "\n") {
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		if problem := u.loadLine(next, words); problem != "" {
			fmt.Fprintf(&wrong, "%s:%d%s", file, i+1, problem)
		}
	}
	if wrong.Len() > 0 {
		return nil, errors.New(wrong.String() + "WARNING: ACL errors detected, no change to the previously active ACL rules was performed")
	}
	if next[Default] == nil { // a file that says nothing of it must not open the server to everybody
		next[Default] = u.byName[Default].rights.Load()
	}
	return u.replace(next), nil
}

// loadLine adds what one line says, or returns what is wrong with it.
func (u *Users) loadLine(next map[string]*rights, words []string) (problem string) {
	if words[0] != "user" || len(words) < 2 {
		return " should start with user keyword followed by the username. "
	}
	name := words[1]
	if next[name] != nil {
		return fmt.Sprintf(": WARNING: Duplicate user '%s' found. ", name)
	}
	r, err := u.fresh().with(words[2:], u.channels)
	var rule *RuleError
	switch {
	case errors.As(err, &rule) && errors.Is(err, errUnknown):
		return fmt.Sprintf(": Error in applying operation '%s': %v. ", rule.Rule, rule.Err)
	case errors.As(err, &rule):
		return fmt.Sprintf(": %v. ", rule.Err)
	case err != nil:
		return ": Unmatched parenthesis in selector definition."
	}
	next[name] = r
	return ""
}

func (u *Users) replace(next map[string]*rights) (gone []*User) {
	for _, name := range slices.Sorted(maps.Keys(u.byName)) {
		if next[name] == nil {
			gone = append(gone, u.byName[name])
			delete(u.byName, name)
		}
	}
	for name, r := range next {
		if u.byName[name] == nil {
			u.byName[name] = &User{name: name}
		}
		u.byName[name].rights.Store(r)
	}
	return gone
}

// CommandsIn returns the full names of the commands of a category, in order.
func (u *Users) CommandsIn(cat command.Category) []string {
	var out []string
	for _, cmd := range u.catalog.all {
		if cmd.Categories()&cat != 0 {
			out = append(out, cmd.FullName())
		}
	}
	return out
}
