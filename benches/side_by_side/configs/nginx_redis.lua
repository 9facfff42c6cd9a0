-- A fixed window of a minute and a quota of a month in one script: the usual recipe. Redis' own
-- protocol is written here, since the client library for it is not packaged.
local script = [[
local minute = tonumber(redis.call('GET', KEYS[1]) or '0')
if minute >= tonumber(ARGV[1]) then return 1 end
local month = tonumber(redis.call('GET', KEYS[2]) or '0')
if month >= tonumber(ARGV[2]) then return 2 end
if redis.call('INCR', KEYS[1]) == 1 then redis.call('EXPIRE', KEYS[1], 120) end
if redis.call('INCR', KEYS[2]) == 1 then redis.call('EXPIRE', KEYS[2], 5356800) end
return 0
]]

local function command(...)
    local parts = { "*" .. select("#", ...) .. "\r\n" }
    for _, part in ipairs({ ... }) do
        part = tostring(part)
        parts[#parts + 1] = "$" .. #part .. "\r\n" .. part .. "\r\n"
    end
    return parts
end

local digest

local function ask(socket, ...)
    local sent = socket:send(command(...))
    return sent and socket:receive("*l")
end

local function load(socket)
    local length = ask(socket, "SCRIPT", "LOAD", script)
    if length ~= "$40" then return false end
    digest = socket:receive(40)
    return digest and socket:receive(2)
end

function draw(limit, quota)
    local socket = ngx.socket.tcp()
    socket:settimeout(1000)
    if not socket:connect("127.0.0.1", @REDIS@) or (not digest and not load(socket)) then
        return ngx.exit(503)
    end
    local key = ngx.var.http_x_api_key
    local minute = "m:{" .. key .. "}:" .. math.floor(ngx.now() / 60) .. limit
    local answer = ask(socket, "EVALSHA", digest, 2, minute, "q:{" .. key .. "}", limit, quota)
    if not answer then return ngx.exit(503) end
    socket:setkeepalive(60000, 256)
    if answer ~= ":0" then return ngx.exit(429) end
end
