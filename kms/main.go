// Command elastickv-kms has a key management service wrap and unwrap the key encryption key of an
// elastickv server, which calls it:
//
//	elastickv serve --encryption "command:elastickv-kms --key awskms://alias/elastickv?region=eu-central-1"
//
// It is a program of its own, so that the server need not carry the libraries of every cloud. It
// reads base64 and a line break from its standard input, writes base64 and a line break to
// its standard output, and is told by its last word whether to wrap or to unwrap. Credentials
// come from where each service's own tools have them: the environment, files, the machine.
package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"time"

	"gocloud.dev/secrets"
	_ "gocloud.dev/secrets/awskms"
	_ "gocloud.dev/secrets/azurekeyvault"
	_ "gocloud.dev/secrets/gcpkms"
	_ "gocloud.dev/secrets/hashivault"
)

const usage = `Usage: elastickv-kms --key URL wrap|unwrap

Reads a line of base64, has a key management service encrypt (wrap) or decrypt (unwrap) it,
and prints the result as a line of base64. "elastickv serve" calls it with the last word:

  elastickv serve --encryption "command:elastickv-kms --key URL"

URL names the service and its key:
  awskms://ID?region=REGION               AWS KMS: a key's id, ARN or alias/NAME
  gcpkms://projects/P/locations/L/keyRings/R/cryptoKeys/K
  azurekeyvault://VAULT.vault.azure.net/keys/NAME
  hashivault://NAME                       Vault's transit engine, at VAULT_SERVER_URL with VAULT_SERVER_TOKEN
`

const (
	inputMost = 64 << 10         // bytes of a line
	callMost  = 25 * time.Second // a little less than the server waits
)

func main() { os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) }

// run carries out one call and returns the exit code.
func run(args []string, in io.Reader, out, fault io.Writer) int {
	fs := flag.NewFlagSet("elastickv-kms", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	fs.Usage = func() {}
	url := fs.String("key", "", "")
	err := fs.Parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprint(out, usage)
		return 0
	case err == nil && (*url == "" || fs.NArg() != 1 || fs.Arg(0) != "wrap" && fs.Arg(0) != "unwrap"):
		err = errors.New("--key URL and then wrap or unwrap are wanted; see --help")
	}
	if err != nil {
		fmt.Fprintln(fault, "elastickv-kms:", err)
		return 2
	}
	ctx, cancel := context.WithTimeout(context.Background(), callMost)
	defer cancel()
	if err := call(ctx, *url, fs.Arg(0), in, out); err != nil {
		fmt.Fprintln(fault, "elastickv-kms:", err)
		return 1
	}
	return 0
}

// call wraps or unwraps the line in.
func call(ctx context.Context, url, verb string, in io.Reader, out io.Writer) (err error) {
	line, err := bufio.NewReader(io.LimitReader(in, inputMost)).ReadBytes('\n')
	if err != nil {
		return errors.New("no line of base64 on standard input")
	}
	defer clear(line)
	text, err := base64.StdEncoding.AppendDecode(nil, bytes.TrimSpace(line))
	if err != nil || len(text) == 0 {
		return errors.New("what is on standard input is not base64")
	}
	defer clear(text)
	keeper, err := secrets.OpenKeeper(ctx, url)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, keeper.Close()) }()
	do := keeper.Encrypt
	if verb == "unwrap" {
		do = keeper.Decrypt
	}
	result, err := do(ctx, text)
	if err != nil {
		return err
	}
	defer clear(result)
	_, err = out.Write(append(base64.StdEncoding.AppendEncode(nil, result), '\n'))
	return err
}
