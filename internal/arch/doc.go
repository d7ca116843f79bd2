// Package arch answers: does the house still stand as it was planned? Its tests read the
// source of the whole module and report every file that breaks the import plan or one of
// the rules that give a fact a single home. It imports only the standard library, and
// nothing imports it.
package arch
