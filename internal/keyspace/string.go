package keyspace

// String returns the value of a string key and whether the key is there.
func (s *Space) String(key []byte) ([]byte, bool, error) {
	e, ok, err := s.findKind(key, KindString)
	return e.body, ok, err
}

// SetString makes key a string of the given value, whatever it was before,
// that expires at a moment in Unix milliseconds; 0 is never. If the moment is not in
// the future, the key is removed.
func (s *Space) SetString(key, value []byte, at int64) error {
	if at != 0 && at <= s.Now() {
		_, err := s.Remove(key)
		return err
	}
	var ts uint64
	if at != 0 {
		var err error
		if ts, err = timestamp(at); err != nil {
			return err
		}
	}
	old, err := s.clear(key)
	if err != nil {
		return err
	}
	return s.write(key, old, entry{kind: KindString, expireAt: ts, body: value})
}

// OverwriteString is SetString for a key that keeps the expiry it has.
func (s *Space) OverwriteString(key, value []byte) error {
	old, err := s.clear(key)
	if err != nil {
		return err
	}
	return s.write(key, old, entry{kind: KindString, expireAt: old.expireAt, body: value})
}

// EditString has edit make the value of a string key from the one that it has, which is nil if it is not there. The key
// keeps the expiry that it has. If edit fails nothing has happened.
func (s *Space) EditString(key []byte, edit func(old []byte, there bool) ([]byte, error)) error {
	old, ok, err := s.findKind(key, KindString)
	if err != nil {
		return err
	}
	value, err := edit(old.body, ok)
	if err != nil {
		return err
	}
	return s.write(key, old, entry{kind: KindString, expireAt: old.expireAt, body: value})
}

// ModifyString is OverwriteString for a value that was built from the old one by
// APPEND and the like: OBJECT ENCODING calls it raw, however short it is.
func (s *Space) ModifyString(key, value []byte) error {
	old, _, err := s.findKind(key, KindString)
	if err != nil {
		return err
	}
	return s.write(key, old, entry{kind: KindString, enc: encRaw, expireAt: old.expireAt, body: value})
}

// StoreString is SetString without an expiry for a value that a command has made of
// others: OBJECT ENCODING calls it raw, however short it is.
func (s *Space) StoreString(key, value []byte) error {
	old, err := s.clear(key)
	if err != nil {
		return err
	}
	return s.write(key, old, entry{kind: KindString, enc: encRaw, body: value})
}

// clear removes the rows of a collection that is about to be overwritten, but
// not its directory entry, which it returns.
func (s *Space) clear(key []byte) (entry, error) {
	e, ok, err := s.find(key)
	if err != nil || !ok {
		return entry{}, err
	}
	return e, s.removeRows(key, e)
}

// clearForRows is clear for a key that is going to be a collection, whose home it returns.
func (s *Space) clearForRows(key []byte) (old entry, home []byte, err error) {
	if old, err = s.clear(key); err != nil {
		return entry{}, nil, err
	}
	home, err = s.freeHome(key)
	return old, home, err
}
