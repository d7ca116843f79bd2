package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
)

// answerMost bounds an answer: many keys make a long one.
const answerMost = 64 << 20

// Client is the other end of the door.
type Client struct{ http http.Client }

// NewClient returns a client of the server that has the data folder dir open. It connects
// when it is used.
func NewClient(dir string) *Client {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		path, done, err := shortPath(dir)
		if err != nil {
			return nil, err
		}
		defer done()
		var d net.Dialer
		return d.DialContext(ctx, "unix", path)
	}
	return &Client{http.Client{Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}}}
}

// KeysStatus asks for the state of the keys.
func (c *Client) KeysStatus(ctx context.Context) (st KeysStatus, err error) {
	return st, c.ask(ctx, http.MethodGet, keysPath, nil, &st)
}

// Rotate is Keys.Rotate.
func (c *Client) Rotate(ctx context.Context) (out Rotated, err error) {
	return out, c.ask(ctx, http.MethodPost, rotatePath, struct{}{}, &out)
}

// Rewrap is Keys.Rewrap.
func (c *Client) Rewrap(ctx context.Context, provider string) (out Rewrapped, err error) {
	return out, c.ask(ctx, http.MethodPost, rewrapPath, rewrapRequest{provider}, &out)
}

// Retire is Keys.Retire.
func (c *Client) Retire(ctx context.Context, id uint32) error {
	return c.ask(ctx, http.MethodPost, retirePath, retireRequest{id}, &struct{}{})
}

func (c *Client) ask(ctx context.Context, method, path string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://elastickv"+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	res, err := c.http.Do(req)
	if err != nil {
		var netErr *net.OpError
		if errors.As(err, &netErr) {
			err = netErr
		}
		return fmt.Errorf("no server with encryption runs on this data folder, or it is another user's (%w)", err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(io.LimitReader(res.Body, answerMost))
	if err != nil {
		return err
	}
	if res.StatusCode != http.StatusOK {
		var f fault
		if json.Unmarshal(text, &f) != nil || f.Error == "" {
			f.Error = res.Status
		}
		return errors.New(f.Error)
	}
	return json.Unmarshal(text, out)
}
