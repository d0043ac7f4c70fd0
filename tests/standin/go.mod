module ollamactl.test/standin

go 1.22
