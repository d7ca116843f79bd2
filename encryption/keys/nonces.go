package keys

import (
	"encoding/binary"
	"sync/atomic"

	"github.com/elastickv/elastickv/encryption"
)

// UsesMost is how often a key seals at most. Rotation comes long before.
const UsesMost = 1 << 32

// Nonces makes the nonces of one process:
//
//	| folded node id (2) | epoch (2) | counter (8) |      all big endian
//
// Its counter never goes back, whichever key is in use. It makes none until it is armed.
type Nonces struct {
	life  atomic.Pointer[[4]byte] // folded node id and epoch; nil until it is armed
	count atomic.Uint64           // nonces made
	base  atomic.Uint64           // count when the active key came into use
	wake  uint64                  // uses of a key after which due is told; immutable
	due   chan struct{}           // of size 1
}

func newNonces(wake uint64) *Nonces {
	return &Nonces{wake: wake, due: make(chan struct{}, 1)}
}

// arm begins a life, which happens once. Whoever calls it has made sure that nobody has made
// a nonce of this node and epoch under the keys that it will be used with.
func (n *Nonces) arm(node uint64, epoch uint16) {
	life := new([4]byte)
	binary.BigEndian.PutUint16(life[0:], encryption.FoldNodeID(node))
	binary.BigEndian.PutUint16(life[2:], epoch)
	if !n.life.CompareAndSwap(nil, life) {
		panic("keys: nonces armed twice")
	}
}

// Next returns a nonce that was not returned before.
func (n *Nonces) Next() (nonce [encryption.NonceSize]byte, err error) {
	life := n.life.Load()
	if life == nil {
		return nonce, ErrNotBegun
	}
	count := n.count.Add(1)
	uses := count - n.base.Load()
	if uses >= UsesMost {
		return nonce, ErrNoncesUsedUp
	}
	if uses == n.wake {
		select {
		case n.due <- struct{}{}:
		default:
		}
	}
	copy(nonce[:], life[:])
	binary.BigEndian.PutUint64(nonce[4:], count-1)
	return nonce, nil
}

// uses returns how many nonces were made since the active key came into use.
func (n *Nonces) uses() uint64 { return n.count.Load() - n.base.Load() }

// renew says that another key is active.
func (n *Nonces) renew() { n.base.Store(n.count.Load()) }
