package main

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// try does one thing from inside the unit, to see whether it is let. Parameters, by op:
//
//	open     path, mode=r|w|rw (default r); nothing is created
//	read     path -> the text     write   path, data (creates or overwrites)     list   path -> names
//	stat     path -> mode         mkdir, remove   path     link   path, data (a symbolic link to it)
//	mknod   path, major, minor (a character device)
//	connect  address=IP:PORT (TCP), timeout_ms (default 2000; running out is ETIMEDOUT)
//	datagram   address=IP:PORT (UDP)       ping   address=IP
//	listen   address              socket   family (a number, socket(2))
//	kill     pid, signal (default 0)       ptrace   pid
//	unshare  flags (a number, unshare(2))  mmap     (writable and executable)
//	setuid   uid                  sethostname   name
//	syscall  nr, arg, arg, ... (any system call; see syscalls.go)
//	converse   path, kind=unix|unixgram, data in hex (a unix socket)      run   path, arg, ... (another program)
//	id       -> pid, uid, gid, groups, cgroup, and /proc/self/status as text
func try(w http.ResponseWriter, r *http.Request) {
	_ = r.ParseForm() // a wrong one has no op, and says so
	data, err := attempt(r.Form.Get("op"), r.Form)
	result := map[string]any{"ok": err == nil, "errno": errnoName(err), "data": data}
	if err != nil {
		result["message"] = err.Error()
	}
	reply(w, http.StatusOK, result)
}

func attempt(op string, given url.Values) (any, error) {
	path := given.Get("path")
	number := func(name string) int {
		n, _ := strconv.ParseInt(given.Get(name), 0, 64)
		return int(n)
	}
	switch op {
	case "open":
		flags := map[string]int{"": os.O_RDONLY, "r": os.O_RDONLY, "w": os.O_WRONLY, "rw": os.O_RDWR}[given.Get("mode")]
		descriptor, err := syscall.Open(path, flags|syscall.O_CLOEXEC|syscall.O_NONBLOCK, 0)
		if err == nil {
			err = syscall.Close(descriptor)
		}
		return nil, err
	case "read":
		text, err := os.ReadFile(path)
		return string(text), err
	case "write":
		return nil, os.WriteFile(path, []byte(given.Get("data")), 0o644)
	case "list":
		entries, err := os.ReadDir(path)
		names := []string{}
		for _, entry := range entries {
			names = append(names, entry.Name())
		}
		return names, err
	case "stat":
		info, err := os.Lstat(path)
		if err != nil {
			return nil, err
		}
		return info.Mode().String(), nil
	case "mkdir":
		return nil, os.Mkdir(path, 0o755)
	case "remove":
		return nil, os.Remove(path)
	case "mknod":
		device := number("major")<<8 | number("minor")
		return nil, syscall.Mknod(path, syscall.S_IFCHR|0o666, device)
	case "connect":
		timeout := 2 * time.Second
		if given.Get("timeout_ms") != "" {
			timeout = time.Duration(number("timeout_ms")) * time.Millisecond
		}
		connection, err := net.DialTimeout("tcp", given.Get("address"), timeout)
		if err == nil {
			connection.Close()
		}
		return nil, err
	case "listen":
		listener, err := net.Listen("tcp", given.Get("address"))
		if err == nil {
			listener.Close()
		}
		return nil, err
	case "socket":
		descriptor, err := syscall.Socket(number("family"), syscall.SOCK_DGRAM|syscall.SOCK_CLOEXEC, 0)
		if err == nil {
			err = syscall.Close(descriptor)
		}
		return nil, err
	case "kill":
		return nil, syscall.Kill(number("pid"), syscall.Signal(number("signal")))
	case "ptrace":
		return nil, seize(number("pid"))
	case "unshare":
		return nil, syscall.Unshare(number("flags"))
	case "mmap":
		area, err := syscall.Mmap(-1, 0, os.Getpagesize(),
			syscall.PROT_READ|syscall.PROT_WRITE|syscall.PROT_EXEC, syscall.MAP_ANON|syscall.MAP_PRIVATE)
		if err == nil {
			err = syscall.Munmap(area)
		}
		return nil, err
	case "setuid":
		return nil, syscall.Setuid(number("uid"))
	case "sethostname":
		return nil, syscall.Sethostname([]byte(given.Get("name")))
	case "datagram":
		return nil, datagram(syscall.IPPROTO_UDP, given.Get("address"))
	case "ping":
		return nil, datagram(syscall.IPPROTO_ICMP, given.Get("address"))
	case "syscall":
		return call(given)
	case "converse":
		return converse(given)
	case "run":
		output, err := exec.Command(path, given["arg"]...).CombinedOutput()
		return string(output), err
	case "link":
		return nil, os.Symlink(given.Get("data"), path)
	case "id":
		groups, _ := os.Getgroups()
		status, _ := os.ReadFile("/proc/self/status")
		cgroup, err := os.ReadFile("/proc/self/cgroup")
		return map[string]any{
			"pid": os.Getpid(), "uid": os.Getuid(), "gid": os.Getgid(), "groups": groups,
			"cgroup": strings.TrimSpace(string(cgroup)), "status": string(status),
		}, err
	}
	return nil, fmt.Errorf("no such op: %q", op)
}

var names = map[syscall.Errno]string{
	syscall.EPERM: "EPERM", syscall.ENOENT: "ENOENT", syscall.ESRCH: "ESRCH", syscall.EIO: "EIO", syscall.ENXIO: "ENXIO",
	syscall.EAGAIN: "EAGAIN", syscall.ENOMEM: "ENOMEM", syscall.EACCES: "EACCES", syscall.EBUSY: "EBUSY",
	syscall.EEXIST: "EEXIST", syscall.ENODEV: "ENODEV", syscall.ENOTDIR: "ENOTDIR", syscall.EISDIR: "EISDIR",
	syscall.EINVAL: "EINVAL", syscall.EMFILE: "EMFILE", syscall.ENOSPC: "ENOSPC", syscall.EROFS: "EROFS",
	syscall.ENOSYS: "ENOSYS", syscall.EPROTONOSUPPORT: "EPROTONOSUPPORT", syscall.EAFNOSUPPORT: "EAFNOSUPPORT",
	syscall.EADDRINUSE: "EADDRINUSE", syscall.EADDRNOTAVAIL: "EADDRNOTAVAIL", syscall.ENETUNREACH: "ENETUNREACH",
	syscall.EHOSTUNREACH: "EHOSTUNREACH", syscall.ECONNREFUSED: "ECONNREFUSED", syscall.ECONNRESET: "ECONNRESET",
	syscall.ETIMEDOUT: "ETIMEDOUT", syscall.EDQUOT: "EDQUOT", syscall.ELOOP: "ELOOP", syscall.EFAULT: "EFAULT",
	syscall.EBADF: "EBADF", syscall.ENOEXEC: "ENOEXEC", syscall.E2BIG: "E2BIG", syscall.ENOKEY: "ENOKEY",
	syscall.EOPNOTSUPP: "EOPNOTSUPP", syscall.EPROTOTYPE: "EPROTOTYPE", syscall.ENOTBLK: "ENOTBLK",
}

func errnoName(err error) string {
	if err == nil {
		return ""
	}
	var errno syscall.Errno
	if errors.As(err, &errno) {
		if name, ok := names[errno]; ok {
			return name
		}
		return fmt.Sprintf("errno %d", int(errno))
	}
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		return "ETIMEDOUT"
	}
	return "other"
}

// seize traces a process without stopping it, and lets it go at once: a tracer is a thread, and this one ends.
func seize(pid int) error {
	result := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: so the thread ends with the goroutine
		const ptraceSeize = 0x4206
		_, _, errno := syscall.RawSyscall6(syscall.SYS_PTRACE, ptraceSeize, uintptr(pid), 0, 0, 0, 0)
		if errno != 0 {
			result <- errno
			return
		}
		result <- nil
	}()
	return <-result
}
