package command

import "github.com/elastickv/elastickv/internal/keyspace"

// notify records an event of the call's first key.
func (c *Ctx) notify(class keyspace.Class, event string) { c.Keys.Notify(class, event, c.Args[1]) }

// noted is notify, unless err says that nothing has happened. It returns err.
func (c *Ctx) noted(class keyspace.Class, event string, err error) error {
	if err == nil {
		c.notify(class, event)
	}
	return err
}

// gone records that a key is there no more.
func (c *Ctx) gone(key []byte) { c.Keys.Notify(keyspace.ClassGeneric, "del", key) }

// removed removes the target of a command that has nothing to store.
func (c *Ctx) removed(key []byte) error {
	there, err := c.Keys.Remove(key)
	if there && err == nil {
		c.gone(key)
	}
	return err
}

// notifyTaken records that something has been taken out of the collection at the first key, and
// that the key has gone with the last of it.
func (c *Ctx) notifyTaken(class keyspace.Class, event string, left interface{ Exists() bool }) {
	c.notifyTakenAt(keyspace.Event{Class: class, Name: event, Key: c.Args[1]}, left)
}

// notifyTakenAt is notifyTaken for any key.
func (c *Ctx) notifyTakenAt(e keyspace.Event, left interface{ Exists() bool }) {
	c.Keys.Notify(e.Class, e.Name, e.Key)
	if !left.Exists() {
		c.gone(e.Key)
	}
}

// remove deletes a key and records that.
func (c *Ctx) remove(key []byte) (bool, error) {
	ok, err := c.Keys.Remove(key)
	if ok && err == nil {
		c.gone(key)
	}
	return ok, err
}

// looksUpToRead reports whether a command asks for keys in order to read them. Those that look
// at how a key is kept do not count.
func (c *Command) looksUpToRead() bool {
	return c.Has(ReadOnly) && !c.IsSubOf("object") && !c.IsSubOf("memory")
}
