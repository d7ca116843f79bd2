package hll

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

const (
	selfTestRounds   = 100
	selfTestElements = 100_000
	selfTestSparse   = 3000 // bytes
)

// SelfTest fails if registers do not keep what they are given, or if the estimates of random
// elements are further off than chance allows.
func SelfTest(rand func() uint64) error {
	if err := testRegisters(rand); err != nil {
		return err
	}
	return testEstimates(rand)
}

func testRegisters(rand func() uint64) error {
	registers := make([]byte, denseSize-headerSize)
	var want [Registers]byte
	for range selfTestRounds {
		for i := range want {
			want[i] = byte(rand() & registerMost)
			setRegister(registers, i, want[i])
		}
		for i, w := range want {
			if got := register(registers, i); got != w {
				return fmt.Errorf("register %d should be %d but is %d", i, w, got)
			}
		}
	}
	return nil
}

func testEstimates(rand func() uint64) error {
	sparse, dense := New(), New()
	if err := dense.ToDense(); err != nil {
		return err
	}
	first, next := rand(), uint64(1)
	for i := uint64(1); i <= selfTestElements; i++ {
		element := binary.LittleEndian.AppendUint64(nil, first^i)
		for _, s := range []*Sketch{&sparse, &dense} {
			if _, err := s.Add(element, selfTestSparse); err != nil {
				return err
			}
		}
		if i != next {
			continue
		}
		if err := checkEstimates(&sparse, &dense, i); err != nil {
			return err
		}
		next *= 10
	}
	return nil
}

// checkEstimates looks at a Sketch that began sparse, and one that was dense always, after
// they have seen n elements.
func checkEstimates(sparse, dense *Sketch, n uint64) error {
	if n < selfTestSparse/2 && sparse.Dense() {
		return errors.New("sparse encoding not used")
	}
	a, err := sparse.Count()
	if err != nil {
		return err
	}
	b, err := dense.Count()
	if err != nil {
		return err
	}
	if a != b {
		return fmt.Errorf("dense and sparse disagree: %d and %d", b, a)
	}
	// Six times the standard error; of ten elements two may well fall together.
	off, most := math.Abs(float64(n)-float64(a)), math.Ceil(6*1.04/math.Sqrt(Registers)*float64(n))
	if off > most {
		return fmt.Errorf("too large an error: %d elements are estimated as %d", n, a)
	}
	return nil
}
