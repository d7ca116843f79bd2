package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// programVariable makes this test binary the program, which reads the environment when it starts.
const programVariable = "ELASTICKV_KMS_TEST"

func TestMain(m *testing.M) {
	if os.Getenv(programVariable) != "" {
		main()
	}
	os.Exit(m.Run())
}

// program runs the program.
func program(t *testing.T, env []string, in string, args ...string) (code int, out, fault string) {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe, args...)
	cmd.Env = append([]string{programVariable + "=1", "HOME=" + t.TempDir()}, env...)
	var o, f bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(in), &o, &f
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), o.String(), f.String()
}

func turnRound(b []byte) []byte {
	out := bytes.Clone(b)
	for i := range out {
		out[i] ^= 0x5a
	}
	return out
}

const token = "the-token-of-the-test"

// fakeVault is as much of Vault's transit engine as there has to be.
func fakeVault(w http.ResponseWriter, r *http.Request) {
	var in map[string]string
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
		http.Error(w, `{"errors":["no JSON"]}`, http.StatusBadRequest)
		return
	}
	var out map[string]string
	switch {
	case r.Header.Get("X-Vault-Token") != token:
		http.Error(w, `{"errors":["permission denied"]}`, http.StatusForbidden)
		return
	case r.URL.Path == "/v1/transit/encrypt/elastickv":
		plain, err := base64.StdEncoding.DecodeString(in["plaintext"])
		if err != nil {
			http.Error(w, `{"errors":["no base64"]}`, http.StatusBadRequest)
			return
		}
		out = map[string]string{"ciphertext": "vault:v1:" + base64.StdEncoding.EncodeToString(turnRound(plain))}
	case r.URL.Path == "/v1/transit/decrypt/elastickv" && strings.HasPrefix(in["ciphertext"], "vault:v1:"):
		sealed, err := base64.StdEncoding.DecodeString(in["ciphertext"][len("vault:v1:"):])
		if err != nil {
			http.Error(w, `{"errors":["invalid ciphertext"]}`, http.StatusBadRequest)
			return
		}
		out = map[string]string{"plaintext": base64.StdEncoding.EncodeToString(turnRound(sealed))}
	default:
		http.Error(w, `{"errors":["invalid ciphertext or no such key"]}`, http.StatusBadRequest)
		return
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"data": out})
}

// fakeAWS is as much of AWS KMS as there has to be.
func fakeAWS(w http.ResponseWriter, r *http.Request) {
	var in struct {
		KeyId                     string
		Plaintext, CiphertextBlob []byte
	}
	body, _ := io.ReadAll(r.Body)
	if err := json.Unmarshal(body, &in); err != nil || !strings.Contains(r.Header.Get("Authorization"), "test-access-key") {
		w.Header().Set("X-Amzn-Errortype", "AccessDeniedException")
		http.Error(w, `{"__type":"AccessDeniedException","message":"no"}`, http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	switch r.Header.Get("X-Amz-Target") {
	case "TrentService.Encrypt":
		_ = json.NewEncoder(w).Encode(map[string]any{"KeyId": in.KeyId, "CiphertextBlob": turnRound(in.Plaintext)})
	case "TrentService.Decrypt":
		_ = json.NewEncoder(w).Encode(map[string]any{"KeyId": in.KeyId, "Plaintext": turnRound(in.CiphertextBlob)})
	default:
		http.Error(w, `{"__type":"UnknownOperationException"}`, http.StatusBadRequest)
	}
}

// What a service has wrapped it unwraps, and a key is in no line but the one that is asked for.
func TestWrapAndUnwrap(t *testing.T) {
	vault := httptest.NewServer(http.HandlerFunc(fakeVault))
	defer vault.Close()
	aws := httptest.NewServer(http.HandlerFunc(fakeAWS))
	defer aws.Close()
	key := base64.StdEncoding.EncodeToString([]byte("a key of thirty-two bytes, as is"))
	for name, tc := range map[string]struct {
		url  string
		env  []string
		fail []string // an environment with which it fails
	}{
		"Vault": {"hashivault://elastickv",
			[]string{"VAULT_SERVER_URL=" + vault.URL, "VAULT_SERVER_TOKEN=" + token},
			[]string{"VAULT_SERVER_URL=" + vault.URL, "VAULT_SERVER_TOKEN=another", "VAULT_MAX_RETRIES=0"}},
		"AWS": {"awskms://alias/elastickv?region=eu-central-1",
			[]string{"AWS_ENDPOINT_URL_KMS=" + aws.URL, "AWS_ACCESS_KEY_ID=test-access-key", "AWS_SECRET_ACCESS_KEY=x", "AWS_EC2_METADATA_DISABLED=true"},
			[]string{"AWS_ENDPOINT_URL_KMS=" + aws.URL, "AWS_ACCESS_KEY_ID=another", "AWS_SECRET_ACCESS_KEY=x", "AWS_EC2_METADATA_DISABLED=true", "AWS_MAX_ATTEMPTS=1"}},
	} {
		code, wrapped, fault := program(t, tc.env, key+"\n", "--key", tc.url, "wrap")
		if code != 0 || fault != "" || strings.Contains(wrapped, key) || strings.Count(wrapped, "\n") != 1 {
			t.Errorf("%s: wrap: %d %q %q", name, code, wrapped, fault)
			continue
		}
		code, back, fault := program(t, tc.env, wrapped, "--key", tc.url, "unwrap")
		if code != 0 || back != key+"\n" || fault != "" {
			t.Errorf("%s: unwrap: %d %q %q", name, code, back, fault)
		}
		code, out, fault := program(t, tc.fail, key+"\n", "--key", tc.url, "wrap")
		if code != 1 || out != "" || fault == "" || strings.Contains(fault, key) {
			t.Errorf("%s: refused: %d %q %q", name, code, out, fault)
		}
	}
}

func TestFaults(t *testing.T) {
	for name, tc := range map[string]struct {
		in   string
		args []string
		code int
		want string
	}{
		"no words":        {"", nil, 2, "--key URL and then wrap or unwrap"},
		"no verb":         {"", []string{"--key", "hashivault://k"}, 2, "wrap or unwrap"},
		"unknown verb":    {"", []string{"--key", "hashivault://k", "drop"}, 2, "wrap or unwrap"},
		"unknown flag":    {"", []string{"--nosuch"}, 2, "flag provided but not defined"},
		"no line":         {"QUFB", []string{"--key", "hashivault://k", "wrap"}, 1, "no line of base64"},
		"no base64":       {"!!!\n", []string{"--key", "hashivault://k", "wrap"}, 1, "not base64"},
		"too long":        {strings.Repeat("A", inputMost+1) + "\n", []string{"--key", "hashivault://k", "wrap"}, 1, "no line of base64"},
		"unknown service": {"QUFB\n", []string{"--key", "nosuch://k", "wrap"}, 1, "no driver registered"},
	} {
		code, out, fault := program(t, nil, tc.in, tc.args...)
		if code != tc.code || out != "" || !strings.Contains(fault, tc.want) || strings.Count(fault, "\n") != 1 {
			t.Errorf("%s: got %d %q %q", name, code, out, fault)
		}
	}
	if code, out, _ := program(t, nil, "", "--help"); code != 0 || !strings.Contains(out, "awskms://") {
		t.Errorf("help: %d %q", code, out)
	}
}
