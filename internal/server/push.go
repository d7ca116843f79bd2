package server

// hold makes pushes to the client wait for the next flush.
func (c *session) hold() {
	if !c.holding {
		c.holding = true
		c.output.hold()
	}
}

// flush sends the replies gathered so far, and behind them what others have told the client
// meanwhile.
func (c *session) flush() {
	c.out.Raw(c.output.takeHeld())
	holding := c.holding
	c.holding = false
	if c.out.Len() == 0 {
		if holding {
			c.output.release()
		}
		return
	}
	sent := c.out.Len()
	c.srv.stats.sent.Add(int64(sent))
	c.srv.stats.writes.Add(1)
	if err := c.sendReplies(); err != nil {
		c.ending = true
		c.cutOff(err)
	}
	c.out.Reset()
	c.facts.replied(sent, cap(c.out.Bytes()))
}

func (c *session) sendReplies() error {
	if c.out.Keeps() || c.out.Outgrown() {
		pieces := c.out.Take()
		return c.output.give(pieces[0], pieces[1:]...)
	}
	return c.output.send(c.out.Bytes())
}

// cutOff takes down that the connection has been closed because the client does not read.
func (c *session) cutOff(err error) {
	if err == errOutputLimit && !c.facts.overLimit.Swap(true) {
		c.srv.stats.overLimit.Add(1)
		c.srv.log.Warn("client closed: it does not read its replies", "client", c.id, "addr", c.remote)
	}
}

// push sends the client something that it has not asked for, from any goroutine and without
// waiting. b must not change any more.
func (c *session) push(b []byte) {
	c.srv.stats.sent.Add(int64(len(b)))
	if err := c.output.push(b); err != nil {
		c.cutOff(err)
	}
}
