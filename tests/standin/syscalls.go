package main

import (
	"encoding/hex"
	"fmt"
	"net"
	"net/url"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unsafe"
)

// call makes any system call, as a hostile program would: `nr` and up to six `arg`s, each a number, `s:TEXT` (a pointer
// to the text, ended by NUL), `x:HEX` (to these bytes) or `z:SIZE` (to so many zeros). On a thread of its own, which
// ends with it: what the call changes of its thread (namespaces, identities, filters) leaves the server as it was.
func call(given url.Values) (any, error) {
	number, err := strconv.ParseInt(given.Get("nr"), 0, 64)
	if err != nil {
		return nil, err
	}
	var arguments [6]uintptr
	var buffers [][]byte
	for at, text := range given["arg"] {
		buffer, value, err := argument(text)
		if err != nil || at >= len(arguments) {
			return nil, fmt.Errorf("argument %d: %v", at, err)
		}
		if buffer != nil {
			buffers = append(buffers, buffer)
			value = uintptr(unsafe.Pointer(&buffer[0]))
		}
		arguments[at] = value
	}
	type answer struct {
		result uintptr
		errno  syscall.Errno
	}
	answers := make(chan answer, 1)
	go func() {
		runtime.LockOSThread() // never unlocked: so the thread ends with the goroutine
		result, _, errno := syscall.RawSyscall6(uintptr(number),
			arguments[0], arguments[1], arguments[2], arguments[3], arguments[4], arguments[5])
		answers <- answer{result, errno}
	}()
	select {
	case found := <-answers:
		runtime.KeepAlive(buffers)
		if found.errno != 0 {
			return nil, found.errno
		}
		read := []string{}
		for _, buffer := range buffers {
			read = append(read, hex.EncodeToString(buffer[:min(len(buffer), 256)]))
		}
		return map[string]any{"result": int64(found.result), "buffers": read}, nil
	case <-time.After(2 * time.Second):
		return nil, syscall.ETIMEDOUT
	}
}

func argument(text string) ([]byte, uintptr, error) {
	kind, rest, _ := strings.Cut(text, ":")
	switch kind {
	case "s":
		return append([]byte(rest), 0), 0, nil
	case "x":
		buffer, err := hex.DecodeString(rest)
		return append(buffer, 0), 0, err
	case "z":
		size, err := strconv.Atoi(rest)
		return make([]byte, size+1), 0, err
	}
	value, err := strconv.ParseInt(text, 0, 64)
	return nil, uintptr(value), err
}

// datagram sends one, by UDP or as a ping, and does not wait for an answer.
func datagram(protocol int, address string) error {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		host, port = address, "0"
	}
	number, _ := strconv.Atoi(port)
	descriptor, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_DGRAM|syscall.SOCK_CLOEXEC, protocol)
	if err != nil {
		return err
	}
	defer syscall.Close(descriptor)
	to := syscall.SockaddrInet4{Port: number}
	copy(to.Addr[:], net.ParseIP(host).To4())
	return syscall.Sendto(descriptor, []byte{8, 0, 0, 0, 0, 0, 0, 0}, 0, &to)
}

// converse connects to a unix socket (`path`; a leading @ is the abstract name space), sends `data` and reads an answer.
func converse(given url.Values) (any, error) {
	kind := given.Get("kind")
	if kind == "" {
		kind = "unix"
	}
	connection, err := net.DialTimeout(kind, given.Get("path"), time.Second)
	if err != nil {
		return nil, err
	}
	defer connection.Close()
	if given.Get("data") == "" {
		return "", nil
	}
	_ = connection.SetDeadline(time.Now().Add(time.Second))
	text, err := hex.DecodeString(given.Get("data"))
	if err != nil {
		return nil, err
	}
	if _, err := connection.Write(text); err != nil {
		return nil, err
	}
	buffer := make([]byte, 4096)
	count, _ := connection.Read(buffer)
	return string(buffer[:count]), nil
}
