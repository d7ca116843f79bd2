package node

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"syscall"

	"github.com/elastickv/elastickv/internal/replica/transport"
)

// Names in a data folder. They are part of the format; never change.
const (
	// FileName is the file that says which node of which cluster the folder is.
	FileName = "cluster.json"
	// NewFileName is that file while it is written.
	NewFileName = "cluster.json.new"
	// LogFolder has the log of promises.
	LogFolder = "raftlog"
	// StagingFolder has the images that arrive.
	StagingFolder = "images"
)

// Identity is which node of which cluster a data folder is, and in whose place.
type Identity struct {
	Cluster transport.ClusterID
	Node    transport.NodeID
	Replica uint64                      // the id in the group
	Peers   map[transport.NodeID]string // where others are, as long as the data does not say it
}

const identityFormat = 1 // part of the format

// identityFile is an Identity in JSON. It is part of the format: names are added, never changed.
type identityFile struct {
	Format  int                         `json:"format"`
	Cluster string                      `json:"cluster"` // hexadecimal
	Node    transport.NodeID            `json:"node"`
	Replica uint64                      `json:"replica"`
	Peers   map[transport.NodeID]string `json:"peers,omitempty"`
}

var (
	// ErrNoCluster says that a data folder is in no cluster.
	ErrNoCluster = errors.New("the data folder is in no cluster; make it the first of one with elastickv cluster init, or have it join one with elastickv cluster join")

	// ErrInCluster says that a data folder is in a cluster.
	ErrInCluster = errors.New("the data folder is in a cluster already")

	errNobody = errors.New("nodes have numbers from 1")

	errIdentity = errors.New("malformed, or of a later release")
)

// Load returns the identity of a data folder, or ErrNoCluster.
func Load(dir string) (*Identity, error) {
	text, err := os.ReadFile(filepath.Join(dir, FileName))
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		return nil, ErrNoCluster
	}
	if err != nil {
		return nil, err
	}
	id, err := parseIdentity(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", filepath.Join(dir, FileName), err)
	}
	return id, nil
}

func parseIdentity(text []byte) (*Identity, error) {
	var f identityFile
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&f); err != nil {
		return nil, fmt.Errorf("%w: %w", errIdentity, err)
	}
	id := &Identity{Node: f.Node, Replica: f.Replica, Peers: f.Peers}
	cluster, err := hex.DecodeString(f.Cluster)
	if f.Format != identityFormat || err != nil || len(cluster) != len(id.Cluster) || f.Node == 0 || f.Replica == 0 {
		return nil, errIdentity
	}
	id.Cluster = transport.ClusterID(cluster)
	if id.Cluster == (transport.ClusterID{}) {
		return nil, errIdentity
	}
	return id, nil
}

func (id *Identity) text() ([]byte, error) {
	return json.Marshal(identityFile{identityFormat, id.Cluster.String(), id.Node, id.Replica, id.Peers})
}

// save makes it that of a data folder, whole or not at all.
func (id *Identity) save(dir string) error {
	text, err := id.text()
	if err != nil {
		return err
	}
	temporary := filepath.Join(dir, NewFileName)
	f, err := os.OpenFile(temporary, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(append(text, '\n'))
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(temporary, filepath.Join(dir, FileName)); err != nil {
		return err
	}
	return syncFolder(dir)
}

func syncFolder(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Invitation is what a node needs to become a member of a cluster that knows of it. It is no secret: who
// may take part the certificates say.
type Invitation Identity

// invitationMark begins every invitation. It is part of the format.
const invitationMark = "elastickv-1-"

// String returns it as a word.
func (i Invitation) String() string {
	text, err := (*Identity)(&i).text()
	if err != nil { // of numbers and texts
		panic(err)
	}
	return invitationMark + base64.RawURLEncoding.EncodeToString(text)
}

// ParseInvitation returns the invitation that a word is.
func ParseInvitation(word string) (Invitation, error) {
	rest, ok := bytes.CutPrefix([]byte(word), []byte(invitationMark))
	text, err := base64.RawURLEncoding.AppendDecode(nil, rest)
	if !ok || err != nil {
		return Invitation{}, errors.New("this is no invitation, or not all of one")
	}
	id, err := parseIdentity(text)
	if err != nil {
		return Invitation{}, fmt.Errorf("the invitation is %w", err)
	}
	return Invitation(*id), nil
}

// CheckAddr refuses what is no address that other nodes can reach.
func CheckAddr(addr string) error {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return fmt.Errorf("%q: the address has to be HOST:PORT", addr)
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return fmt.Errorf("%q: the port has to be a number from 1 to 65535", addr)
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		return fmt.Errorf("%q: other nodes need a host that they can connect to", addr)
	}
	return nil
}
