// Package arch holds the arrows between the packages: who may import whom.
package arch
