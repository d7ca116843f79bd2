package command

import "math"

// randomCount reads the number of elements that SRANDMEMBER and its kin are asked for at
// argument 2. If it is below 0, elements may repeat.
func randomCount(c *Ctx) (int64, error) {
	n, err := c.int(2)
	if err == nil && n == math.MinInt64 {
		return 0, ErrRankRange
	}
	return n, err
}

// checkDraw fails if a reply has no room for so many elements, however short they are.
func (c *Ctx) checkDraw(count int64) error {
	if count > int64(c.Env.MaxReply/len("$0\r\n\r\n")) {
		return ErrReplyTooLong
	}
	return nil
}

// checkReply fails when the reply has no room any more: a few bytes of arguments can ask for any
// number of random elements, or for the same value again and again.
func (c *Ctx) checkReply() error {
	if c.Out.Full() {
		return ErrReplyTooLong
	}
	return nil
}
