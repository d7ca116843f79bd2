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
	"net/url"
)

// answerMost bounds an answer: many keys make a long one.
const answerMost = 64 << 20

var errNoServer = errors.New("no server runs on this data folder, or it is another user's")

// Client is the other end of the door.
type Client struct{ http http.Client }

// NewClient returns a client of the server that has the data folder dir open. It connects
// when it is used.
func NewClient(dir string) *Client {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		c, err := dialIn(ctx, dir)
		if err != nil {
			return nil, fmt.Errorf("%w (%w)", errNoServer, err)
		}
		return c, nil
	}
	return &Client{http.Client{Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}}}
}

// dialIn connects to the socket of dir.
func dialIn(ctx context.Context, dir string) (net.Conn, error) {
	path, done, err := shortPath(dir)
	if err != nil {
		return nil, err
	}
	defer done()
	var d net.Dialer
	return d.DialContext(ctx, "unix", path)
}

// KeysStatus asks for the state of the keys.
func (c *Client) KeysStatus(ctx context.Context) (st KeysStatus, err error) {
	return st, c.ask(ctx, http.MethodGet, keysPath, nil, &st)
}

// Rotate is Keys.Rotate.
func (c *Client) Rotate(ctx context.Context) (out Rotated, err error) {
	return out, c.ask(ctx, http.MethodPost, rotatePath, struct{}{}, &out)
}

// Enable is Keys.Enable.
func (c *Client) Enable(ctx context.Context, provider string) (out Provided, err error) {
	return out, c.ask(ctx, http.MethodPost, enablePath, providerRequest{provider}, &out)
}

// Rewrap is Keys.Rewrap.
func (c *Client) Rewrap(ctx context.Context, provider string) (out Provided, err error) {
	return out, c.ask(ctx, http.MethodPost, rewrapPath, providerRequest{provider}, &out)
}

// Retire is Keys.Retire.
func (c *Client) Retire(ctx context.Context, id uint32) error {
	return c.ask(ctx, http.MethodPost, retirePath, retireRequest{id}, &struct{}{})
}

func (c *Client) ask(ctx context.Context, method, path string, in, out any) error {
	res, err := c.send(ctx, method, path, in)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return faultOf(res)
	}
	text, err := io.ReadAll(io.LimitReader(res.Body, answerMost))
	if err != nil {
		return err
	}
	return json.Unmarshal(text, out)
}

// send makes a request. The caller closes the body of the answer.
func (c *Client) send(ctx context.Context, method, path string, in any) (*http.Response, error) {
	body, err := json.Marshal(in)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://elastickv"+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	res, err := c.http.Do(req)
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		err = wrapped.Err // the address says nothing
	}
	if err != nil && !errors.Is(err, errNoServer) {
		err = fmt.Errorf("the server has not answered; its log may say why (%w)", err)
	}
	return res, err
}

// faultOf returns what the server has answered instead.
func faultOf(res *http.Response) error {
	var f fault
	text, err := io.ReadAll(io.LimitReader(res.Body, answerMost))
	if err != nil {
		return err
	}
	if json.Unmarshal(text, &f) != nil || f.Error == "" {
		f.Error = res.Status
	}
	return errors.New(f.Error)
}
