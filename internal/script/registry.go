package script

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/elastickv/elastickv/internal/keyspace"
)

// registry returns the libraries that keys sees.
func (e *Engine) registry(keys *keyspace.Space) (*registry, error) {
	version, err := keys.LibraryVersion()
	if err != nil {
		return nil, err
	}
	last := e.remembered(version)
	if last != nil && !last.due(e.opts.Now()) {
		return last, nil
	}
	kept, err := keys.Libraries()
	if err != nil {
		return nil, err
	}
	var libs []*library
	var broken []keyspace.Library
	for _, k := range kept {
		lib, err := e.libraryOf(k)
		if err != nil {
			e.opts.Log(LogWarning, fmt.Sprintf("Library %s cannot be loaded: %v", k.Name, err))
			broken = append(broken, k)
			continue
		}
		libs = append(libs, lib)
	}
	r := newRegistry(version, libs)
	r.lack(broken, last, e.opts.Now())
	e.know(r)
	return r, nil
}

func (e *Engine) remembered(version keyspace.LibraryVersion) *registry {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.mu.registries[version]
}

// know remembers a registry, and forgets old ones.
func (e *Engine) know(r *registry) {
	e.mu.Lock()
	for len(e.mu.registries) >= registriesMost {
		var oldest *registry
		for _, other := range e.mu.registries {
			if oldest == nil || other.version.Before(oldest.version) {
				oldest = other
			}
		}
		delete(e.mu.registries, oldest.version)
	}
	e.mu.registries[r.version] = r
	e.mu.Unlock()
	if last := e.latest.Load(); !r.version.Before(last.version) {
		e.latest.CompareAndSwap(last, r)
	}
}

// libraryOf returns the library that is kept so: one that is known already, or a new one.
func (e *Engine) libraryOf(k keyspace.Library) (*library, error) {
	e.mu.Lock()
	for _, r := range e.mu.registries {
		if lib := r.library(k.Name); lib != nil && bytes.Equal(lib.source, k.Source) {
			e.mu.Unlock()
			return lib, nil
		}
	}
	e.mu.Unlock()
	return e.newLibrary(k.Source, e.opts.Now())
}

// newLibrary loads a library to see what it has, for a command that began then.
func (e *Engine) newLibrary(source []byte, began time.Time) (*library, error) {
	m, err := parseMetadata(source)
	if err != nil {
		return nil, err
	}
	lib := &library{name: m.name, source: source}
	w := e.calls.take()
	w.seen = nil // what was loaded in vain since then goes, too
	w.forget(e.latest.Load())
	bodies, err := w.load(lib, m.code, began)
	if err == nil {
		w.loaded[lib] = bodies
	}
	e.calls.put(w)
	if errors.Is(err, errStopped) {
		return nil, errShutdown
	}
	if err != nil {
		return nil, err
	}
	if len(lib.functions) == 0 {
		return nil, fault(textNoFunctions)
	}
	return lib, nil
}

// with returns the libraries of r and those of added, which take the place of any of the
// same name, in order of names.
func (r *registry) with(added []*library) []*library {
	libs := slices.DeleteFunc(slices.Clone(r.libs), func(l *library) bool {
		return slices.ContainsFunc(added, func(a *library) bool { return a.name == l.name })
	})
	libs = append(libs, added...)
	slices.SortFunc(libs, func(a, b *library) int { return strings.Compare(a.name, b.name) })
	return libs
}

// keep writes libraries, and remembers what keys sees from now on.
func (e *Engine) keep(keys *keyspace.Space, r *registry, added []*library) error {
	for _, lib := range added {
		if err := keys.PutLibrary(lib.name, lib.source); err != nil {
			return err
		}
	}
	version, err := keys.LibraryVersion()
	if err != nil {
		return err
	}
	now := newRegistry(version, r.with(added))
	now.broken = slices.DeleteFunc(slices.Clone(r.broken), func(k keyspace.Library) bool { return now.library(k.Name) != nil })
	now.tries, now.retry = r.tries, r.retry
	e.know(now)
	return nil
}
