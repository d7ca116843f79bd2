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
	c.srv.stats.sent.Add(int64(c.out.Len()))
	c.srv.stats.writes.Add(1)
	send := c.output.send
	if c.out.Outgrown() {
		send = c.output.give
	}
	if err := send(c.out.Bytes()); err != nil {
		c.ending = true
		c.cutOff(err)
	}
	sent := c.out.Len()
	c.out.Reset()
	c.facts.replied(sent, cap(c.out.Bytes()))
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
