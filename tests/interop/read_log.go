// read_log: verifies a log over HTTP with Go's own implementation of signed notes and tiles, and nothing of ours:
// the checkpoint's signature, the root, that each entry is where it says, and that an older checkpoint is of the
// same log.
//
//	read_log PREFIX VKEY [-old CHECKPOINT-FILE] [-every N] [-keep CHECKPOINT-FILE]
//
// PREFIX is as c2sp.org/tlog-tiles has it, http://node:8080/v1/log. Of entries, each N-th is proved (1: all), and
// all are fetched. Prints what it found; the exit status is 0 if all of it holds.
//
// SPDX-License-Identifier: Apache-2.0
package main

import (
	"encoding/binary"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

const tileHeight = 8

func check(err error, what string) {
	if err != nil {
		fmt.Fprintf(os.Stderr, "read_log: %s: %v\n", what, err)
		os.Exit(1)
	}
}

// ---- fetching ----

type site struct {
	prefix   string
	tiles    map[string][]byte
	requests int
}

func (s *site) get(path string) ([]byte, error) {
	s.requests++
	answer, err := http.Get(s.prefix + "/" + path)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err == nil && answer.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s: %s", path, answer.Status, body)
	}
	return body, err
}

// Go's paths have the height of tiles in them, "tile/8/0/x001/234"; c2sp.org/tlog-tiles knows no other height.
func tilePath(kind string, tile tlog.Tile) string {
	parts := strings.SplitN(tile.Path(), "/", 4)
	return "tile/" + kind + "/" + parts[3]
}

func (s *site) Height() int { return tileHeight }

func (s *site) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	var all [][]byte
	for _, tile := range tiles {
		path := tilePath(strconv.Itoa(tile.L), tile)
		data, known := s.tiles[path]
		if !known {
			var err error
			if data, err = s.get(path); err != nil {
				return nil, err
			}
			s.tiles[path] = data
		}
		all = append(all, data)
	}
	return all, nil
}

func (s *site) SaveTiles(tiles []tlog.Tile, data [][]byte) {}

// ---- what is fetched ----

func openCheckpoint(text []byte, vkey string) tlog.Tree {
	verifier, err := note.NewVerifier(vkey)
	check(err, "verifier key")
	opened, err := note.Open(text, note.VerifierList(verifier))
	check(err, "checkpoint")
	lines := strings.Split(opened.Text, "\n")
	if len(lines) < 4 || lines[0] != verifier.Name() {
		check(fmt.Errorf("%q", opened.Text), "not a checkpoint of "+verifier.Name())
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	check(err, "size")
	root, err := tlog.ParseHash(lines[2])
	check(err, "root")
	return tlog.Tree{N: size, Hash: root}
}

func splitBundle(bundle []byte) (entries [][]byte) {
	for len(bundle) > 0 {
		if len(bundle) < 2 || len(bundle) < 2+int(binary.BigEndian.Uint16(bundle)) {
			check(fmt.Errorf("%d bytes are left over", len(bundle)), "entry bundle")
		}
		end := 2 + int(binary.BigEndian.Uint16(bundle))
		entries = append(entries, bundle[2:end])
		bundle = bundle[end:]
	}
	return entries
}

// Fetches all entries and proves each `every`-th; the numbers of both.
func checkEntries(s *site, tree tlog.Tree, hashes tlog.HashReader, every int64) (count, proved int64) {
	const width = 1 << tileHeight
	for first := int64(0); first < tree.N; first += width {
		tile := tlog.Tile{H: tileHeight, N: first / width, W: width}
		if tree.N-first < width {
			tile.W = int(tree.N - first)
		}
		bundle, err := s.get(tilePath("entries", tile))
		check(err, "entries")
		entries := splitBundle(bundle)
		if len(entries) != tile.W {
			check(fmt.Errorf("%d entries", len(entries)), tilePath("entries", tile))
		}
		for i, entry := range entries {
			index := first + int64(i)
			count++
			if index%every != 0 {
				continue
			}
			proof, err := tlog.ProveRecord(tree.N, index, hashes)
			check(err, fmt.Sprintf("proving entry %d", index))
			check(tlog.CheckRecord(proof, tree.N, tree.Hash, index, tlog.RecordHash(entry)),
				fmt.Sprintf("entry %d", index))
			proved++
		}
	}
	return count, proved
}

func checkConsistency(tree, old tlog.Tree, hashes tlog.HashReader) {
	proof, err := tlog.ProveTree(tree.N, old.N, hashes)
	check(err, "proving consistency")
	check(tlog.CheckTree(proof, tree.N, tree.Hash, old.N, old.Hash), "consistency")
	fmt.Printf("consistent: %d entries continue the %d of the older checkpoint, %d hashes\n", tree.N, old.N, len(proof))
}

func main() {
	options := map[string]string{"-every": "1"}
	if len(os.Args) < 3 || len(os.Args)%2 == 0 {
		check(fmt.Errorf("PREFIX VKEY [-old FILE] [-every N] [-keep FILE]"), "usage")
	}
	for i := 3; i < len(os.Args); i += 2 {
		options[os.Args[i]] = os.Args[i+1]
	}
	every, err := strconv.ParseInt(options["-every"], 10, 64)
	check(err, "-every")
	began := time.Now()
	s := &site{prefix: os.Args[1], tiles: map[string][]byte{}}
	vkey := os.Args[2]

	text, err := s.get("checkpoint")
	check(err, "checkpoint")
	tree := openCheckpoint(text, vkey)
	hashes := tlog.TileHashReader(tree, s)
	root, err := tlog.TreeHash(tree.N, hashes)
	check(err, "root")
	if root != tree.Hash {
		check(fmt.Errorf("tiles have %v, the checkpoint %v", root, tree.Hash), "root")
	}
	fmt.Printf("checkpoint: %d entries, root %v\n", tree.N, tree.Hash)
	if file, given := options["-old"]; given {
		oldText, err := os.ReadFile(file)
		check(err, "older checkpoint")
		checkConsistency(tree, openCheckpoint(oldText, vkey), hashes)
	}
	count, proved := checkEntries(s, tree, hashes, every)
	fmt.Printf("entries: %d read, %d proved to be in the tree\n", count, proved)
	if file, given := options["-keep"]; given {
		check(os.WriteFile(file, text, 0o644), "keeping the checkpoint")
	}
	fmt.Printf("%d requests, %.2f s\n", s.requests, time.Since(began).Seconds())
}
