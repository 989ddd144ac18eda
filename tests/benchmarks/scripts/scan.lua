-- Scans one code after another, each of another citizen, as one checkpoint. The first line is the checkpoint's session,
-- every other line a code.
dofile("tests/benchmarks/scripts/requests.lua")

function init(args)
    local headers
    for line in io.lines(args[1]) do
        if headers then
            requests[#requests + 1] = wrk.format("POST", "/v1/scan", headers, '{"code":"' .. line .. '"}')
        else
            headers = { ["Authorization"] = "Bearer " .. line, ["Content-Type"] = "application/json" }
        end
    end
end
