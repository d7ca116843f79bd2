package script

import (
	"slices"
	"strings"
	"time"

	"github.com/elastickv/elastickv/internal/command"
	"github.com/elastickv/elastickv/internal/keyspace"
	"github.com/elastickv/elastickv/internal/resp"
)

// engineName is what FUNCTION LIST and STATS call the one engine there is.
const engineName = "LUA"

// library is a library of functions. It is never changed, and two are the same only if
// they are one: a library that is loaded again is another, and begins anew.
type library struct {
	name      string
	source    []byte // with its first line
	functions []*function
}

// function is a function of a library.
type function struct {
	lib         *library
	name        string
	description string
	described   bool
	flags       flags
}

// registry is one set of libraries. It is never changed.
type registry struct {
	version   keyspace.LibraryVersion
	libs      []*library           // in order of names
	functions map[string]*function // by name in lower case

	// What is kept, but could not be loaded: the machine may have been too busy, or the memory
	// limit too low. It is tried again now and then.
	broken []keyspace.Library
	tries  int
	retry  time.Time
}

// A library that could not be loaded is tried again after a second, and then after twice as long each
// time, up to a minute.
const (
	retryFirst = time.Second
	retryMost  = time.Minute
)

// lack notes what could not be loaded, now and the last time.
func (r *registry) lack(broken []keyspace.Library, last *registry, now time.Time) {
	if len(broken) == 0 {
		return
	}
	r.broken = broken
	if last != nil {
		r.tries = last.tries + 1
	}
	r.retry = now.Add(min(retryFirst<<min(r.tries, 10), retryMost))
}

// due reports whether it is time to try again what could not be loaded.
func (r *registry) due(now time.Time) bool { return len(r.broken) > 0 && !now.Before(r.retry) }

// has reports whether a library of that name is kept, loaded or not.
func (r *registry) has(name string) bool {
	return r.library(name) != nil || slices.ContainsFunc(r.broken, func(k keyspace.Library) bool { return k.Name == name })
}

// kept returns every library as it is kept, in order of names.
func (r *registry) kept() []keyspace.Library {
	all := slices.Clone(r.broken)
	for _, l := range r.libs {
		all = append(all, keyspace.Library{Name: l.name, Source: l.source})
	}
	slices.SortFunc(all, func(a, b keyspace.Library) int { return strings.Compare(a.Name, b.Name) })
	return all
}

func newRegistry(version keyspace.LibraryVersion, libs []*library) *registry {
	r := &registry{version: version, libs: libs, functions: make(map[string]*function)}
	for _, l := range libs {
		for _, f := range l.functions {
			if name := strings.ToLower(f.name); r.functions[name] == nil {
				r.functions[name] = f
			}
		}
	}
	return r
}

func (r *registry) function(name []byte) *function { return r.functions[strings.ToLower(string(name))] }

func (r *registry) library(name string) *library {
	for _, l := range r.libs {
		if l.name == name {
			return l
		}
	}
	return nil
}

// count returns how many functions the libraries have.
func (r *registry) count() (n int) {
	for _, l := range r.libs {
		n += len(l.functions)
	}
	return n
}

// memory is about how many bytes the libraries take.
func (r *registry) memory() (n int64) {
	const overhead = 128
	for _, l := range r.libs {
		n += int64(len(l.name) + len(l.source) + overhead)
		for _, f := range l.functions {
			n += int64(len(f.name) + len(f.description) + overhead)
		}
	}
	return n
}

// collision returns the first function of l that a library other than those named except
// has, or nil.
func (r *registry) collision(l *library, except map[string]bool) *function {
	for _, f := range l.functions {
		if other := r.functions[strings.ToLower(f.name)]; other != nil && !except[other.lib.name] {
			return f
		}
	}
	return nil
}

// metadata is what the first line of a library says.
//
//	#!lua name=mylib
type metadata struct {
	name string
	code []byte // the source behind the first line, beginning with its end
}

// parseMetadata reads the first line of a library.
func parseMetadata(source []byte) (m metadata, err error) {
	n, ok := firstLine(source)
	switch {
	case !ok:
		return m, fault(textNoMetadata)
	case n < 0:
		return m, fault(textBadMetadata)
	}
	words, ok := resp.SplitWords(source[:n])
	if !ok || len(words) == 0 {
		return m, fault(textBadMetadata)
	}
	named := false
	for _, w := range words[1:] {
		word := string(w)
		if len(word) < len("name=") || !strings.EqualFold(word[:len("name=")], "name=") {
			return m, fault("Invalid metadata value given: %s", word)
		}
		if named {
			return m, fault(textNamedTwice)
		}
		m.name, named = word[len("name="):], true
	}
	if !named {
		return m, fault(textNotNamed)
	}
	if !validName(m.name) {
		return m, fault(textName)
	}
	if engine := string(words[0][len("#!"):]); !strings.EqualFold(engine, engineName) {
		return m, fault("Engine '%s' not found", engine)
	}
	m.code = source[n:]
	return m, nil
}

// validName reports whether a library or a function may be called that.
func validName(name string) bool {
	for i := range len(name) {
		switch c := name[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '_':
		default:
			return false
		}
	}
	return name != ""
}

// flagsReply writes the words of flags as a set.
func flagsReply(c *command.Ctx, f flags) {
	names := f.names()
	c.Out.Set(len(names))
	for _, n := range names {
		c.Out.Simple(n)
	}
}
